ARG PROGRAMS
FROM ${PROGRAMS}
RUN install -d -o redis -g redis /data
WORKDIR /data
VOLUME /data
EXPOSE 6379
ENTRYPOINT ["redis-entrypoint"]
CMD ["redis-server"]
