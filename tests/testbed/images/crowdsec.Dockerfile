ARG PROGRAMS
FROM ${PROGRAMS}
EXPOSE 8080 6060
CMD ["crowdsec", "-c", "/etc/crowdsec/config.yaml"]
