/* SPDX-License-Identifier: GPL-2.0 */
/* Reads a packet's headers, up to its transport payload. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "abi.h"

#define VLAN_TAGS 2
#define EXTENSION_HEADERS 6	/* more of them is an invalid packet */
#define FRAGMENT_MORE 0x2000
#define FRAGMENT_OFFSET 0x1fff
#define HEADER_BYTES 192	/* enough for all that is read here, in the linear part */

struct cursor {
	void *start, *pos, *end;
};

/* Takes the next header off the packet, or NULL where it is cut short. */
#define take(cur, type) ({					\
	type *head = (cur)->pos;				\
	(cur)->pos = head + 1;					\
	(cur)->pos > (cur)->end ? NULL : head; })

/* Bytes from the frame's start. Behind the barrier clang can't make it 32-bit arithmetic on a pointer. */
static __always_inline __u32 bytes_into(const struct cursor *cur, const void *pos)
{
	__u64 bytes = pos - cur->start;

	barrier_var(bytes);
	return bytes;
}

/*
 * Loads `bytes` bytes, of 1 to `most`; answers how many it did. Counted from 0
 * behind the barrier: Linux 6.1 follows a range that way, but no "not 0".
 */
static __always_inline __u32 load_some(struct __sk_buff *skb, __u32 at, void *to, __u32 bytes, __u32 most)
{
	__u32 last = bytes - 1;

	barrier_var(last);
	if (last >= most || bpf_skb_load_bytes(skb, at, to, last + 1))
		return 0;
	return last + 1;
}

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

static __always_inline struct address address_of(const __be32 words[4])
{
	return (struct address){
		.high = (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]),
		.low = (__u64)bpf_ntohl(words[2]) << 32 | bpf_ntohl(words[3]),
	};
}

static __always_inline bool is_same(const struct address *a, const struct address *b)
{
	return a->high == b->high && a->low == b->low;
}

static __always_inline struct address mapped(__be32 ip)
{
	return (struct address){ .low = 0xffffull << 32 | bpf_ntohl(ip) };
}

static __always_inline bool is_mapped(const struct address *address)
{
	return address->high == 0 && address->low >> 32 == 0xffff;
}

static __always_inline enum packet_kind read_ipv4(struct cursor *cur, struct packet *packet)
{
	void *start = cur->pos;
	struct iphdr *ip = take(cur, struct iphdr);

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return PACKET_INVALID;

	__u32 length = bpf_ntohs(ip->tot_len), header = ip->ihl * 4;

	if (length && length < header)
		return PACKET_INVALID;
	packet->ip_end = length ? bytes_into(cur, start) + length : 0;
	cur->pos = start + header;
	packet->source = mapped(ip->saddr);
	packet->destination = mapped(ip->daddr);
	packet->protocol = ip->protocol;
	packet->fragment_id = bpf_ntohs(ip->id);
	packet->is_first_fragment = ip->frag_off & bpf_htons(FRAGMENT_MORE);
	return ip->frag_off & bpf_htons(FRAGMENT_OFFSET) ? PACKET_FRAGMENT : PACKET_FLOW;
}

static __always_inline enum packet_kind read_extensions(struct cursor *cur, struct packet *packet, __u8 next)
{
	for (int i = 0; i <= EXTENSION_HEADERS; i++) {
		packet->protocol = next;
		if (next == IPPROTO_FRAGMENT) {
			struct fragment_header *fragment = take(cur, struct fragment_header);

			if (!fragment)
				return PACKET_INVALID;
			packet->protocol = fragment->next;
			packet->fragment_id = bpf_ntohl(fragment->id);
			if (fragment->offset & bpf_htons(0xfff8))
				return PACKET_FRAGMENT;
			packet->is_first_fragment = fragment->offset & bpf_htons(1);
			next = fragment->next;
			continue;
		}
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return PACKET_FLOW;

		struct extension_header *extension = cur->pos;

		if ((void *)(extension + 1) > cur->end)
			return PACKET_INVALID;
		next = extension->next;
		cur->pos += (extension->length + 1) * 8;
		if (cur->pos > cur->end)
			return PACKET_INVALID;
	}
	return PACKET_INVALID;
}

static __always_inline enum packet_kind read_ipv6(struct cursor *cur, struct packet *packet)
{
	struct ipv6hdr *ip = take(cur, struct ipv6hdr);

	if (!ip || ip->version != 6)
		return PACKET_INVALID;
	packet->ip_end = ip->payload_len ? bytes_into(cur, cur->pos) + bpf_ntohs(ip->payload_len) : 0;
	packet->source = address_of(ip->saddr.s6_addr32);
	packet->destination = address_of(ip->daddr.s6_addr32);
	packet->hop_limit = ip->hop_limit;
	/* On the wire they mean nothing, and here they would be taken for IPv4. */
	if (is_mapped(&packet->source) || is_mapped(&packet->destination))
		return PACKET_INVALID;
	return read_extensions(cur, packet, ip->nexthdr);
}

static __always_inline bool is_icmp_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/*
 * Routers and neighbours (RFC 4861), multicast listeners (RFC 2710, RFC 3810): how an address is found at all. What a
 * router has forwarded, or would, is none of these.
 */
static __always_inline bool is_neighbour_discovery(const struct packet *packet)
{
	__u8 type = packet->icmp_type;

	if (type >= ROUTER_SOLICITATION && type <= NEIGHBOUR_REDIRECT)
		return packet->hop_limit == 255;
	return ((type >= LISTENER_QUERY && type <= LISTENER_DONE) || type == LISTENER_REPORT_V2) && packet->hop_limit == 1;
}

/* Request and reply carry one identifier: it is the port of who asks, so that the other side can't ask too. */
static __always_inline void note_echo(struct packet *packet, const struct icmp_header *icmp, bool is_v6)
{
	if (icmp->type == (is_v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST))
		packet->source_port = bpf_ntohs(icmp->identifier);
	else if (icmp->type == (is_v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY))
		packet->destination_port = bpf_ntohs(icmp->identifier);
}

static __always_inline enum packet_kind read_icmp(struct cursor *cur, struct packet *packet, bool is_v6)
{
	struct icmp_header *icmp = take(cur, struct icmp_header);

	if (!icmp)
		return PACKET_INVALID;
	packet->icmp_type = icmp->type;
	packet->icmp_code = icmp->code;
	packet->quoted_at = bytes_into(cur, cur->pos);
	if (is_v6 && is_neighbour_discovery(packet))
		return PACKET_PASSED;
	if (is_v6 ? icmp->type >= ICMPV6_UNREACHABLE && icmp->type <= ICMPV6_PARAMETER_PROBLEM : is_icmp_error(icmp->type))
		return PACKET_ICMP_ERROR;
	note_echo(packet, icmp, is_v6);
	return PACKET_FLOW;
}

static __always_inline enum packet_kind read_transport(struct cursor *cur, struct packet *packet)
{
	bool is_v6 = packet->ether_type == bpf_htons(ETH_P_IPV6);

	if (packet->protocol == IPPROTO_TCP) {
		struct tcp_start *tcp = take(cur, struct tcp_start);

		if (!tcp || tcp->offset >> 4 < 5)
			return PACKET_INVALID;
		packet->source_port = bpf_ntohs(tcp->source);
		packet->destination_port = bpf_ntohs(tcp->dest);
		packet->sequence = bpf_ntohl(tcp->sequence);
		packet->tcp_flags = tcp->flags;
		packet->payload_at = bytes_into(cur, tcp) + (tcp->offset >> 4) * 4;
	} else if (packet->protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(cur, struct udphdr);

		if (!udp)
			return PACKET_INVALID;
		packet->source_port = bpf_ntohs(udp->source);
		packet->destination_port = bpf_ntohs(udp->dest);
		packet->payload_at = bytes_into(cur, cur->pos);
	} else if (packet->protocol == (is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		return read_icmp(cur, packet, is_v6);
	}
	return PACKET_FLOW;
}

/* The payload ends where the IP packet does, not with the frame's padding. */
static __always_inline enum packet_kind find_payload(struct packet *packet, __u32 frame_bytes)
{
	__u32 end = packet->ip_end ? packet->ip_end : frame_bytes;

	if (end > frame_bytes || packet->payload_at > end)
		return PACKET_INVALID;
	packet->payload_bytes = packet->payload_at ? end - packet->payload_at : 0;
	return PACKET_FLOW;
}

static __always_inline enum packet_kind read_network(struct cursor *cur, struct packet *packet, __be16 ether_type)
{
	if (ether_type == bpf_htons(ETH_P_IP))
		return read_ipv4(cur, packet);
	if (ether_type == bpf_htons(ETH_P_IPV6))
		return read_ipv6(cur, packet);
	return ether_type == bpf_htons(ETH_P_ARP) ? PACKET_PASSED : PACKET_UNSUPPORTED;
}

static __always_inline struct cursor cursor_of(struct __sk_buff *skb)
{
	void *start = (void *)(long)skb->data;

	return (struct cursor){ .start = start, .pos = start, .end = (void *)(long)skb->data_end };
}

/* Reads the headers in the linear part. Not inlined: its stack is its own. */
static __noinline enum packet_kind read_headers(struct __sk_buff *skb, enum direction direction, struct packet *packet)
{
	struct cursor cur = cursor_of(skb);
	struct ethhdr *eth = take(&cur, struct ethhdr);

	if (!eth)
		return PACKET_INVALID;
	__builtin_memcpy(packet->mac, direction == DIRECTION_EGRESS ? eth->h_source : eth->h_dest, ETH_ALEN);
	packet->ether_type = eth->h_proto;
	packet->direction = direction;
	for (int i = 0; i < VLAN_TAGS; i++) {
		if (packet->ether_type != bpf_htons(ETH_P_8021Q) && packet->ether_type != bpf_htons(ETH_P_8021AD))
			break;

		struct vlan_header *vlan = take(&cur, struct vlan_header);

		if (!vlan)
			return PACKET_INVALID;
		packet->ether_type = vlan->ether_type;
	}

	enum packet_kind kind = read_network(&cur, packet, packet->ether_type);

	if (kind == PACKET_FLOW)
		kind = read_transport(&cur, packet);
	return kind == PACKET_FLOW ? find_payload(packet, skb->len) : kind;
}

/* Reads a packet as it passes the host side of a workload's interface. */
static __always_inline enum packet_kind read_packet(struct __sk_buff *skb, enum direction direction,
						    struct packet *packet)
{
	enum packet_kind kind = read_headers(skb, direction, packet);
	__u32 linear = skb->data_end - skb->data;

	/* Headers that seem cut short may lie outside the linear part. To pull them in copies it: only where needed. */
	if (kind != PACKET_INVALID || linear >= skb->len || linear >= HEADER_BYTES)
		return kind;
	bpf_skb_pull_data(skb, skb->len < HEADER_BYTES ? skb->len : HEADER_BYTES);
	__builtin_memset(packet, 0, sizeof(*packet));
	return read_headers(skb, direction, packet);
}
