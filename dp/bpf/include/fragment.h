/* SPDX-License-Identifier: GPL-2.0 */
/* A later fragment has no ports: it follows the verdict of its packet's first one. */
#pragma once

#include "verdict.h"

/* A receiver gives up on a packet's missing fragments after 30 s (RFC 8200 4.5: 60 s). */
#define FRAGMENT_TICKS 60

/* No verdict of tc's. */
#define UNKNOWN 1000

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fragment_key);
	__type(value, __u64);	/* ticks << 32 | verdict */
} fragments SEC(".maps");

static __always_inline struct fragment_key fragment_of(const struct packet *packet, __u32 endpoint)
{
	return (struct fragment_key){
		.source = packet->source,
		.destination = packet->destination,
		.id = packet->fragment_id,
		.endpoint = endpoint,
		/* IPv6 tells packets apart without it (RFC 8200 4.5), and only the first fragment has it for sure. */
		.protocol = is_mapped(&packet->source) ? packet->protocol : 0,
	};
}

static __noinline int remember_fragment(const struct packet *packet, const struct endpoint *endpoint, __u32 verdict)
{
	struct fragment_key key = fragment_of(packet, endpoint->id);
	__u64 value = (__u64)now_ticks() << 32 | verdict;

	bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
	return 0;
}

/* What became of the first fragment of a later one's packet: PASS, DROP, or UNKNOWN where it was not seen. */
static __noinline int first_fragment_verdict(const struct packet *packet, const struct endpoint *endpoint)
{
	struct fragment_key key = fragment_of(packet, endpoint->id);
	__u64 *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first || now_ticks() - (__u32)(*first >> 32) > FRAGMENT_TICKS)
		return UNKNOWN;
	return (__s32)*first;
}

static __noinline int follow_first(struct __sk_buff *skb, const struct packet *packet, const struct endpoint *endpoint)
{
	int verdict = first_fragment_verdict(packet, endpoint);

	if (verdict == UNKNOWN)
		return refuse(skb, packet, endpoint, packet->direction, REASON_ORPHAN_FRAGMENT);
	return verdict;
}
