# What Debian does not package, on top of the base root file system; every other image starts from here.
ARG BASE
FROM ${BASE}
ENV LANG=C.UTF-8
COPY bin/ /usr/local/bin/
COPY chroma/ /usr/local/lib/chroma/
COPY nginx.conf /etc/nginx/nginx.conf
COPY crowdsec.yaml /etc/crowdsec/config.yaml
COPY acquis.yaml /etc/crowdsec/acquis.yaml
COPY standin.py /usr/local/lib/standin.py
# Crowdsec's collections are enabled by links; Traefik's is not among Debian's defaults.
RUN chmod 755 /usr/local/bin/* \
 && rm -f /etc/crowdsec/config.yaml.local \
 && ln -s /var/lib/crowdsec/hub/parsers/s01-parse/crowdsecurity/traefik-logs.yaml /etc/crowdsec/parsers/s01-parse/ \
 && ln -s /var/lib/crowdsec/hub/collections/crowdsecurity/traefik.yaml /etc/crowdsec/collections/ \
 && ln -sf /usr/lib/postgresql/15/bin/* /usr/local/bin/
