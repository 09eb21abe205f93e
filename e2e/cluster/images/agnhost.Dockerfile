# Kubernetes’ own server and client for tests: TCP, UDP and SCTP.
FROM scratch
COPY agnhost /agnhost
ENTRYPOINT ["/agnhost"]
CMD ["pause"]
