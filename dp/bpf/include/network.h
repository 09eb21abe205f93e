/* SPDX-License-Identifier: GPL-2.0 */
/* Reads IPv4 and IPv6 headers, with options and extensions. */
#pragma once

#include <bpf/bpf_endian.h>

#include "cursor.h"
#include "headers.h"

#define EXTENSION_HEADERS 6	/* more of them is an invalid packet */
#define FRAGMENT_MORE 0x2000
#define FRAGMENT_OFFSET 0x1fff

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
