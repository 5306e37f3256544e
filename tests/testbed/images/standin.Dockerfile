ARG PROGRAMS
FROM ${PROGRAMS}
ARG PROFILE
ARG PORTS
EXPOSE ${PORTS}
ENTRYPOINT ["python3", "-u", "/usr/local/lib/standin.py"]
# Compose may replace the command, so the profile travels apart from it.
ENV STANDIN=${PROFILE}
