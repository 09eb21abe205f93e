# Stands for a peer: answers TCP, takes UDP, and prints each IPv4 packet that comes from a pod as SOURCE PROTOCOL PORT TEXT.
import socket
import sys
import threading

PORT = int(sys.argv[1])
POD_PREFIX = bytes((10, 77))


def serve():
    server = socket.create_server(('', PORT), backlog=200)
    while True:
        client, _ = server.accept()
        client.sendall(b'hello\n')
        client.close()


def sink():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', PORT))
    while True:
        udp.recv(2000)


packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
packets.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: none is to be missed
for run in (serve, sink):
    threading.Thread(target=run, daemon=True).start()
print('ready', flush=True)
while True:
    frame = packets.recv(2000)
    ip = frame[14:]
    if ip[12:14] != POD_PREFIX:
        continue
    rest = ip[(ip[0] & 15) * 4:]
    text = rest[8:].split(b'\n')[0].decode('latin1') if ip[9] == 17 else ''
    print(socket.inet_ntoa(ip[12:16]), ip[9], int.from_bytes(rest[2:4], 'big'), text, flush=True)
