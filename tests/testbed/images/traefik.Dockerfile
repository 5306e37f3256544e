ARG PROGRAMS
FROM ${PROGRAMS}
EXPOSE 80
ENTRYPOINT ["traefik-entrypoint"]
CMD ["traefik"]
