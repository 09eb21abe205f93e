/* SPDX-License-Identifier: GPL-2.0 */
/* The headers that are read, and what a packet is once they were. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "abi.h"

enum packet_kind {
	PACKET_INVALID,
	PACKET_PASSED,		/* address resolution: never policed */
	PACKET_UNSUPPORTED,	/* not IP */
	PACKET_FLOW,
	PACKET_FRAGMENT,	/* a later one: no ports */
	PACKET_ICMP_ERROR,
};

struct packet {
	struct address source, destination;
	__u16 source_port, destination_port;	/* host order */
	__u32 protocol;
	__u32 fragment_id;
	__u32 sequence;				/* of TCP */
	__u32 payload_at, payload_bytes;	/* TCP and UDP, up to the end of the IP packet */
	__u32 ip_end;				/* where the IP packet ends in the frame; 0: with it (super-packets) */
	__u8 tcp_flags;
	__u8 icmp_type, icmp_code;
	__u8 hop_limit;				/* of IPv6 */
	bool is_first_fragment;
	__u8 mac[6];				/* the workload’s own side */
	__u32 direction;			/* enum direction of the packet */
	__be16 ether_type;
	__u32 quoted_at;			/* the packet that an ICMP error quotes */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct vlan_header {
	__be16 tag, ether_type;
};

/* The common header of RFC 9260 3.1 (linux/sctp.h is the kernel's own). */
struct sctp_start {
	__be16 source, dest;
	__be32 tag, checksum;
};

struct extension_header {
	__u8 next, length;	/* in 8 bytes, less one */
};

struct fragment_header {
	__u8 next, reserved;
	__be16 offset;		/* in 8 bytes, << 3; bit 0 is more */
	__be32 id;
};

/* Of ICMP and ICMPv6 alike (their own headers in linux/ pull in the C library). */
struct icmp_header {
	__u8 type, code;
	__be16 checksum, identifier, sequence;
};

/* RFC 792, RFC 4443, RFC 4861, RFC 3810. */
enum icmp_type {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_REDIRECT = 5,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_PARAMETER_PROBLEM = 4,
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	LISTENER_QUERY = 130,
	LISTENER_DONE = 132,
	ROUTER_SOLICITATION = 133,
	NEIGHBOUR_REDIRECT = 137,
	LISTENER_REPORT_V2 = 143,
};

/* The first 14 bytes of a TCP header. */
struct tcp_start {
	__be16 source, dest;
	__be32 sequence, acknowledgement;
	__u8 offset, flags;
};
