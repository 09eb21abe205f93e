# MariaDB, Redis, nginx and dnsmasq of Debian, and their clients.
FROM scratch
COPY . /
ENV PATH=/bin
CMD ["sleep", "infinity"]
