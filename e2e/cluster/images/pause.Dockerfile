# What holds a pod’s namespaces open.
FROM scratch
COPY pause /pause
ENTRYPOINT ["/pause"]
