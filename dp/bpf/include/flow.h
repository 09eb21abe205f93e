/* SPDX-License-Identifier: GPL-2.0 */
/* The flows that may pass, those that may not, and what is remembered of each. */
#pragma once

#include "abi.h"
#include "packet.h"

/* UDP and others that do not close: idle for this long, the next packet begins a new flow. */
#define IDLE_TICKS 168		/* 180 s */

/* All CPUs share one list: BPF_F_NO_COMMON_LRU leaves each CPU only its part of the table. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 17);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 15);
	__type(key, struct flow_key);
	__type(value, struct denial);
} denials SEC(".maps");

/* What a flow has shown. Pairs are << direction of the sender. */
enum seen {
	SEEN_PAYLOAD_EGRESS = 1 << 0,	/* the side's first payload was looked at */
	SEEN_PAYLOAD_INGRESS = 1 << 1,
	SEEN_PAYLOADS = 3,		/* nothing more to look at */
	SEEN_START_EGRESS = 1 << 2,	/* TCP: where the side's stream starts is known */
	SEEN_START_INGRESS = 1 << 3,
	SEEN_FIN_EGRESS = 1 << 4,
	SEEN_FIN_INGRESS = 1 << 5,
	SEEN_RST = 1 << 6,
	SEEN_OPEN = 1 << 7,		/* TCP: more than the first SYN */
	SEEN_TOO_LATE = 1 << 8,		/* TCP: it was open before its first packet was seen */
	SEEN_NOTED = 1 << 9,		/* TCP: what is known of its application is kept with the socket */
};

ABI_KEEP(enum seen, seen);

static __always_inline struct flow_key key_of(const struct packet *packet, enum direction direction, __u32 endpoint)
{
	bool is_egress = direction == DIRECTION_EGRESS;

	return (struct flow_key){
		.local = is_egress ? packet->source : packet->destination,
		.peer = is_egress ? packet->destination : packet->source,
		.local_port = is_egress ? packet->source_port : packet->destination_port,
		.peer_port = is_egress ? packet->destination_port : packet->source_port,
		.endpoint = endpoint,
		.protocol = packet->protocol,
	};
}

/* Who opened a flow whose first seen packet this is. */
static __always_inline enum direction opener(const struct flow_key *key, const struct packet *packet,
					     enum direction direction)
{
	if (key->protocol != IPPROTO_TCP)
		return direction;
	if (packet->tcp_flags & TCP_SYN)
		return packet->tcp_flags & TCP_ACK ? !direction : direction;
	/* In the middle of a connection of which nothing else tells, the lower port is taken for the server's. */
	if (key->local_port == key->peer_port)
		return direction;
	return key->local_port < key->peer_port ? DIRECTION_INGRESS : DIRECTION_EGRESS;
}

/* Whether a packet begins a new flow in the place of one with the same addresses and ports. */
static __always_inline bool begins(const struct flow *flow, const struct packet *packet, enum direction direction,
				   __u32 now)
{
	if (packet->protocol != IPPROTO_TCP)
		return now - flow->last_seen > IDLE_TICKS;
	if ((packet->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return false;
	return flow->seen & SEEN_OPEN || flow->direction != direction;
}

/*
 * What belongs to the side that sends. Clang would or the index into an aligned
 * stack address, which the verifier refuses; behind the barrier it adds.
 */
static __always_inline __u32 *start_of(struct flow *flow, __u32 direction)
{
	__u32 *start = flow->start;

	barrier_var(start);
	return &start[direction & 1];
}

static __always_inline struct flow_side *side_of(struct flow *flow, __u32 direction)
{
	struct flow_side *side = flow->sides;

	barrier_var(side);
	return &side[direction & 1];
}

static __always_inline void note_tcp(struct flow *flow, const struct packet *packet, enum direction direction)
{
	__u8 flags = packet->tcp_flags;

	if (flags & TCP_SYN) {
		*start_of(flow, direction) = packet->sequence + 1;
		flow->seen |= SEEN_START_EGRESS << direction;
	}
	if (flags & TCP_FIN)
		flow->seen |= SEEN_FIN_EGRESS << direction;
	if (flags & TCP_RST)
		flow->seen |= SEEN_RST;
	if ((flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		flow->seen |= SEEN_OPEN;
}

/* What a packet is on the wire: a super-packet is cut into segments, each with headers of its own. */
static __always_inline struct flow_side size_of(const struct __sk_buff *skb, const struct packet *packet)
{
	__u32 segments = skb->gso_segs ? skb->gso_segs : 1;

	return (struct flow_side){
		.packets = segments,
		.bytes = skb->len + (__u64)(segments - 1) * packet->payload_at,
	};
}

static __always_inline void count_packet(struct flow *flow, const struct __sk_buff *skb, const struct packet *packet,
					 __u32 now)
{
	struct flow_side *side = side_of(flow, packet->direction), size = size_of(skb, packet);

	__sync_fetch_and_add(&side->packets, size.packets);
	__sync_fetch_and_add(&side->bytes, size.bytes);
	if (flow->last_seen != now)	/* not each time: the line is shared between CPUs */
		flow->last_seen = now;
}
