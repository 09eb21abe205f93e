"""Sends a dp the reference's example, knowing nothing but the reference: its sockets, its JSON and its report header.

usage: send_policy.py DP_SOCKET OWN_SOCKET

Registers the workload with ctrl_add_mac (section 6.1), sends the two messages of section 7.3 as they stand, and asks
for a sign of life (section 8.1). dp takes commands in order, so its answer to that means that it has taken them all.
"""

import json
import socket
import struct
import sys

ADD_MAC = """
{
  "ctrl_add_mac": {
    "iface": "veth-c1",
    "mac": "aa:bb:cc:dd:ee:ff",
    "ucmac": "4e:65:75:56:01:01",
    "bcmac": "ff:ff:ff:00:00:01",
    "pmac": "",
    "pips": [{"ip": "192.168.1.100"}]
  }
}
"""

POLICY = """
{
  "ctrl_cfg_policy": {
    "cmd": 1,
    "flag": 3,
    "defact": 2,
    "dir": 3,
    "mac": ["aa:bb:cc:dd:ee:ff"],
    "rules": [
      {
        "id": 1001,
        "sip": "0.0.0.0",
        "dip": "10.20.30.40",
        "sipr": "255.255.255.255",
        "dipr": "10.20.30.40",
        "port": 3306,
        "portr": 3306,
        "proto": 6,
        "action": 1,
        "ingress": false
      },
      {
        "id": 1002,
        "sip": "0.0.0.0",
        "dip": "0.0.0.0",
        "sipr": "255.255.255.255",
        "dipr": "0.0.0.0",
        "port": 443,
        "portr": 443,
        "proto": 6,
        "action": 1,
        "ingress": false,
        "fqdn": "api.github.com",
        "apps": [
          {"rid": 1002, "app": 101, "action": 1}
        ]
      },
      {
        "id": 1003,
        "sip": "0.0.0.0",
        "dip": "10.20.30.50",
        "sipr": "255.255.255.255",
        "dipr": "10.20.30.50",
        "port": 6379,
        "portr": 6379,
        "proto": 6,
        "action": 2,
        "ingress": false
      }
    ]
  }
}
"""

FQDN = """
{
  "ctrl_cfg_set_fqdn": {
    "fqdn_name": "api.github.com",
    "vhost": false,
    "fqdn_ips": [
      "140.82.113.5",
      "140.82.114.5"
    ]
  }
}
"""

KEEP_ALIVE = json.dumps({"ctrl_keep_alive": {"seq_num": 7}})

ANSWER_TIMEOUT_S = 10
MAX_REPORT_BYTES = 65536
HEADER = struct.Struct(">HHII")  # Kind, Length, More, SeqNum
SEQUENCE = struct.Struct(">I")


def main(dp_path: str, own_path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dp:
        dp.bind(own_path)
        dp.settimeout(ANSWER_TIMEOUT_S)
        for message in (ADD_MAC, POLICY, FQDN, KEEP_ALIVE):
            dp.sendto(message.encode(), dp_path)
        while not is_sign_of_life(dp.recv(MAX_REPORT_BYTES)):
            pass  # a report about something else


def is_sign_of_life(report: bytes) -> bool:
    _kind, _length, _more, seq_num = HEADER.unpack_from(report)
    body = report[HEADER.size :]
    return seq_num == 7 and body == SEQUENCE.pack(7)


if __name__ == "__main__":
    main(*sys.argv[1:])
