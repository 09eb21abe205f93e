# A shell with the tools of network tests.
FROM scratch
COPY . /
ENV PATH=/bin
CMD ["sleep", "infinity"]
