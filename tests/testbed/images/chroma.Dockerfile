ARG PROGRAMS
FROM ${PROGRAMS}
ENV ANONYMIZED_TELEMETRY=False
WORKDIR /
EXPOSE 8000
ENTRYPOINT ["chroma"]
CMD ["run", "--host", "0.0.0.0", "--port", "8000", "--path", "/data"]
