# etcd, as the chart asks for it.
FROM scratch
COPY etcd /bin/etcd
ENV PATH=/bin
ENTRYPOINT ["etcd"]
