/* SPDX-License-Identifier: GPL-2.0 */
/* Reads a packet's headers, up to its transport payload. */
#pragma once

#include "network.h"
#include "transport.h"

#define VLAN_TAGS 2
#define HEADER_BYTES 192	/* enough for all that is read here, in the linear part */

static __always_inline enum packet_kind read_network(struct cursor *cur, struct packet *packet, __be16 ether_type)
{
	if (ether_type == bpf_htons(ETH_P_IP))
		return read_ipv4(cur, packet);
	if (ether_type == bpf_htons(ETH_P_IPV6))
		return read_ipv6(cur, packet);
	return ether_type == bpf_htons(ETH_P_ARP) ? PACKET_PASSED : PACKET_UNSUPPORTED;
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
