ARG PROGRAMS
FROM ${PROGRAMS}
USER nobody
EXPOSE 9100
ENTRYPOINT ["prometheus-node-exporter"]
