"""Sends datagrams from an interface, each of a flow that has not been before, to addresses that nobody has.

usage: new-flows.py INTERFACE SOURCE_MAC SOURCE_IP COUNT RATE

As fast as it can, but at most RATE a second. Prints how many it sent, and in how many seconds.
"""

import socket
import struct
import sys
import time

ANY_MAC = bytes.fromhex("020000000001")
ETHERTYPE_IPV4 = 0x0800
FIRST_PORT, PORTS = 1024, 64000
FIRST_PEER = int.from_bytes(socket.inet_aton("10.99.0.1"), "big")
PEER_PORT = 9
SOURCE_PORT_AT = 14 + 20
PAYLOAD = b"one of many new flows"
BURST = 250


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def frame(source_mac, source_ip, peer):
    udp = struct.pack("!HHHH", 0, PEER_PORT, 8 + len(PAYLOAD), 0) + PAYLOAD

    def ip(check):
        peer_ip = peer.to_bytes(4, "big")
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, check, source_ip, peer_ip)

    ethernet = ANY_MAC + source_mac + struct.pack("!H", ETHERTYPE_IPV4)
    return bytearray(ethernet + ip(checksum(ip(0))) + udp)


def main(interface, source_mac, source_ip, count, rate):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    start = time.monotonic()
    for sent in range(count):
        peer, port = divmod(sent, PORTS)
        if port == 0:
            packet = frame(source_mac, source_ip, FIRST_PEER + peer)
        struct.pack_into("!H", packet, SOURCE_PORT_AT, FIRST_PORT + port)
        sender.send(packet)
        if sent % BURST == 0:
            ahead = start + sent / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    print(count, time.monotonic() - start)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(
        sys.argv[1],
        bytes.fromhex(sys.argv[2].replace(":", "")),
        socket.inet_aton(sys.argv[3]),
        int(sys.argv[4]),
        int(sys.argv[5]),
    )
