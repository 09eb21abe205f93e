/* SPDX-License-Identifier: GPL-2.0 */
/* An ICMP error belongs to the flow whose packet it quotes: path MTU discovery works through a policy. */
#pragma once

#include "fragment.h"

/* What lies behind a quoted packet's IP header; 8 bytes at least are quoted (RFC 792). */
static __always_inline enum packet_kind read_quoted_transport(struct __sk_buff *skb, __u32 at, struct packet *quoted)
{
	union {
		struct {
			__be16 source, destination;
			__be32 rest;
		};
		struct icmp_header icmp;
	} transport;

	if (bpf_skb_load_bytes(skb, at, &transport, sizeof(transport)))
		return PACKET_INVALID;
	if (quoted->protocol == IPPROTO_TCP || quoted->protocol == IPPROTO_UDP || quoted->protocol == IPPROTO_SCTP) {
		quoted->source_port = bpf_ntohs(transport.source);
		quoted->destination_port = bpf_ntohs(transport.destination);
	} else if (quoted->protocol == IPPROTO_ICMP || quoted->protocol == IPPROTO_ICMPV6) {
		note_echo(quoted, &transport.icmp, quoted->protocol == IPPROTO_ICMPV6);
	}
	return PACKET_FLOW;
}

static __always_inline enum packet_kind read_quoted_ipv4(struct __sk_buff *skb, __u32 at, struct packet *quoted)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return PACKET_INVALID;
	quoted->source = mapped(ip.saddr);
	quoted->destination = mapped(ip.daddr);
	quoted->protocol = ip.protocol;
	quoted->fragment_id = bpf_ntohs(ip.id);
	if (ip.frag_off & bpf_htons(FRAGMENT_OFFSET))
		return PACKET_FRAGMENT;
	return read_quoted_transport(skb, at + ip.ihl * 4, quoted);
}

static __always_inline enum packet_kind read_quoted_ipv6(struct __sk_buff *skb, __u32 at, struct packet *quoted)
{
	struct ipv6hdr ip;
	struct fragment_header fragment;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6)
		return PACKET_INVALID;
	at += sizeof(ip);
	quoted->source = address_of(ip.saddr.s6_addr32);
	quoted->destination = address_of(ip.daddr.s6_addr32);
	quoted->protocol = ip.nexthdr;
	if (ip.nexthdr == IPPROTO_FRAGMENT) {
		if (bpf_skb_load_bytes(skb, at, &fragment, sizeof(fragment)))
			return PACKET_INVALID;
		at += sizeof(fragment);
		quoted->protocol = fragment.next;
		quoted->fragment_id = bpf_ntohl(fragment.id);
		if (fragment.offset & bpf_htons(0xfff8))
			return PACKET_FRAGMENT;
	}
	return read_quoted_transport(skb, at, quoted);
}

/* Reads the quoted packet, which went the other way, as far as its flow is told by it. */
static __noinline int read_quoted(struct __sk_buff *skb, const struct packet *error, struct packet *quoted)
{
	if (error->ether_type == bpf_htons(ETH_P_IP))
		return read_quoted_ipv4(skb, error->quoted_at, quoted);
	return read_quoted_ipv6(skb, error->quoted_at, quoted);
}

/* Whether the packet that is quoted passed, and would pass now. */
static __noinline int is_welcome(const struct packet *quoted, const struct endpoint *endpoint, __u32 direction)
{
	struct flow_key key = key_of(quoted, direction, endpoint->id);
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);

	return flow && flow->decision >> 32 == endpoint->epoch && (__u8)flow->decision != ACTION_DENY;
}

/* An error goes to who sent the packet that it quotes, and to nobody else. */
static __noinline int follow_quoted(struct __sk_buff *skb, const struct packet *packet, const struct endpoint *endpoint)
{
	struct packet quoted = {};
	int kind = read_quoted(skb, packet, &quoted);
	bool is_returned = is_same(&quoted.source, &packet->destination);

	if (is_returned && kind == PACKET_FRAGMENT && first_fragment_verdict(&quoted, endpoint) == PASS)
		return PASS;
	if (is_returned && kind == PACKET_FLOW && is_welcome(&quoted, endpoint, !packet->direction))
		return PASS;
	return refuse(skb, packet, endpoint, packet->direction, REASON_STRAY_ICMP_ERROR);
}
