ARG PROGRAMS
FROM ${PROGRAMS}
ENV PGDATA=/var/lib/postgresql/data
RUN install -d -m 1777 -o postgres -g postgres /var/lib/postgresql/data /run/postgresql
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["postgres-entrypoint"]
CMD ["postgres"]
