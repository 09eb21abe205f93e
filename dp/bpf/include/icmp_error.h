/* SPDX-License-Identifier: GPL-2.0 */
/* An ICMP error belongs to the flow whose packet it quotes: path MTU discovery works through a policy. */
#pragma once

#include "verdict.h"

/* Reads the quoted packet as one that went the other way; its transport header has 8 bytes at least (RFC 792). */
static __always_inline bool read_quoted(struct __sk_buff *skb, const struct packet *error, struct packet *quoted)
{
	union {
		struct {
			__be16 source, destination;
			__be32 rest;
		};
		struct icmp_header icmp;
	} transport;
	__u32 at = error->quoted_at;

	if (error->ether_type == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
			return false;
		quoted->source = mapped(ip.saddr);
		quoted->destination = mapped(ip.daddr);
		quoted->protocol = ip.protocol;
		at += ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6)
			return false;
		quoted->source = address_of(ip.saddr.s6_addr32);
		quoted->destination = address_of(ip.daddr.s6_addr32);
		quoted->protocol = ip.nexthdr;
		at += sizeof(ip);
	}
	if (bpf_skb_load_bytes(skb, at, &transport, sizeof(transport)))
		return false;
	if (quoted->protocol == IPPROTO_TCP || quoted->protocol == IPPROTO_UDP) {
		quoted->source_port = bpf_ntohs(transport.source);
		quoted->destination_port = bpf_ntohs(transport.destination);
	} else if (quoted->protocol == IPPROTO_ICMP || quoted->protocol == IPPROTO_ICMPV6) {
		note_echo(quoted, &transport.icmp, quoted->protocol == IPPROTO_ICMPV6);
	}
	return true;
}

static __noinline int follow_quoted(struct __sk_buff *skb, const struct packet *packet, const struct endpoint *endpoint)
{
	struct packet quoted = {};

	if (read_quoted(skb, packet, &quoted)) {
		struct flow_key key = key_of(&quoted, !packet->direction, endpoint->id);
		struct flow *flow = bpf_map_lookup_elem(&flows, &key);

		if (flow && (__u8)flow->decision != ACTION_DENY)
			return PASS;
	}
	return refuse(skb, packet, endpoint, packet->direction, REASON_STRAY_ICMP_ERROR);
}
