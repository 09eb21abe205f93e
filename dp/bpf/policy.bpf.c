// SPDX-License-Identifier: GPL-2.0
/* Decides on each packet that passes the host side of a workload's interface. */

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "decision.h"
#include "dns/follow.h"
#include "fragment.h"
#include "icmp_error.h"
#include "identification.h"
#include "ports.h"
#include "socket.h"
#include "shadow.h"
#include "verdict.h"
#include "watched.h"

/*
 * The packet at hand, its flow, and a copy of its endpoint: the kernel may give the memory of an entry that dp has replaced to
 * another. Off the stack. No program of ours interrupts another on its CPU: both run with softirqs off.
 */
struct work {
	struct packet packet;
	struct endpoint endpoint;
	struct flow_key key;
	struct flow flow;	/* as it becomes by this packet */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} scratch SEC(".maps");

/* Counts a rule's hit, and the verdict, where it decides on a flow for the first time, or turns what was decided. */
static __always_inline void settle(const struct endpoint *endpoint, const struct flow *flow, __u8 before)
{
	__u8 now = flow->decision;

	if (now == ACTION_NONE || before == now || !is_policed(endpoint, flow->direction))
		return;
	count_hit(endpoint->id, endpoint->revision, flow->rule_id);
	count(COUNTER_VERDICTS + now);
}

/* Whether the workload opened it from an address that is not its own; what a peer opened it may answer from any. */
static __always_inline bool sends_spoofed(const struct endpoint *endpoint, const struct flow_key *key,
					  const struct flow *flow)
{
	return flow->direction == DIRECTION_EGRESS && endpoint->policy && is_spoofed(endpoint, &key->local);
}

/* What a connection was denied for is known from its denial too, where it has no socket that would tell. */
static __always_inline void take_denied_application(struct flow *flow, const struct denial *denial)
{
	if (!denial || denial->is_past || denial->decision & FLOW_UNIDENTIFIED || denial->direction != flow->direction ||
	    flow->seen & SEEN_NOTED)
		return;
	flow->application = denial->application;
	flow->seen |= SEEN_PAYLOADS;
}

/* Where another application would have been decided on otherwise: an entry that is pushed out is not all that knows it. */
static __always_inline void keep_application(struct __sk_buff *skb, const struct work *work, struct flow *flow)
{
	if (work->key.protocol == IPPROTO_TCP && flow->decision & FLOW_BY_APPLICATION && flow->seen & SEEN_PAYLOADS)
		note_on_socket(skb, &work->key, flow, work->endpoint.netns);
}

/* The first packet of a flow, or one that begins a flow anew. */
static __noinline int open_flow(struct __sk_buff *skb, struct work *work)
{
	const struct packet *packet = &work->packet;
	const struct endpoint *endpoint = &work->endpoint;
	const struct flow_key *key = &work->key;
	__u32 direction = packet->direction & 1, now = now_ticks();
	struct flow *flow = &work->flow;

	*flow = (struct flow){
		.first_seen = now,
		.last_seen = now,
		.direction = opener(key, packet, direction),
	};
	*side_of(flow, direction) = size_of(skb, packet);

	struct denial *denial = bpf_map_lookup_elem(&denials, key);
	bool is_midway = key->protocol == IPPROTO_TCP && !(packet->tcp_flags & TCP_SYN);

	if (is_midway) {
		recall(skb, key, flow, endpoint->netns);
		take_denied_application(flow, denial);
	}
	if (sends_spoofed(endpoint, key, flow))
		return refuse(skb, packet, endpoint, direction, REASON_SPOOFED_ADDRESS);
	/* What its application was denied for says nothing of the next connection on these ports. */
	if (denial && !endpoint->learns && denial->decision >> 32 == endpoint->epoch && denial->decision & FLOW_UNIDENTIFIED &&
	    denial->direction == flow->direction) {
		flow->decision = denial->decision;
		flow->rule_id = denial->rule_id;
		return deny(skb, packet, endpoint, key, flow);
	}
	note_tcp(flow, packet, direction);
	if (!is_identified(key, flow))
		look_at_payload(skb, packet, flow, direction);
	take_told_application(endpoint, key, flow);
	decide(endpoint, key, flow);
	keep_application(skb, work, flow);
	/* Denied as it was before: one try again, and no further hit. */
	if (!denial || denial->decision != flow->decision || denial->direction != flow->direction)
		settle(endpoint, flow, ACTION_NONE);

	__u8 action = flow->decision;

	if (action == ACTION_DENY)
		return deny(skb, packet, endpoint, key, flow);
	if (denial)
		denial->is_past = 1;
	if (action == ACTION_VIOLATE)
		report_flow(skb, packet, endpoint, key, flow, direction, 1);
	if (bpf_map_update_elem(&flows, key, flow, BPF_ANY))
		count(COUNTER_FLOWS_LOST);
	return PASS;
}

/* A packet that may change what is known or decided of its flow. */
static __noinline int go_on(struct __sk_buff *skb, struct work *work, struct flow *flow)
{
	const struct packet *packet = &work->packet;
	const struct endpoint *endpoint = &work->endpoint;
	const struct flow_key *key = &work->key;
	__u32 direction = packet->direction & 1;
	struct flow *next = &work->flow;

	*next = *flow;

	__u8 before = next->decision, action;

	if (next->decision >> 32 != endpoint->epoch && sends_spoofed(endpoint, key, flow))
		return refuse(skb, packet, endpoint, direction, REASON_SPOOFED_ADDRESS);
	note_tcp(next, packet, direction);
	if (next->decision & FLOW_UNIDENTIFIED)
		look_at_payload(skb, packet, next, direction);
	if (next->decision >> 32 != endpoint->epoch || next->application != flow->application ||
	    (next->seen ^ flow->seen) & SEEN_PAYLOADS) {
		take_told_application(endpoint, key, next);
		decide(endpoint, key, next);
		settle(endpoint, next, before);
		keep_application(skb, work, next);
	} else if (!(next->seen & SEEN_NOTED)) {
		keep_application(skb, work, next);	/* its socket was not there yet */
	}
	action = next->decision;
	/* In place: an update takes a new node first, which a full table evicts flows for. */
	if (packet->tcp_flags & TCP_SYN)
		*start_of(flow, direction) = *start_of(next, direction);
	__sync_fetch_and_or(&flow->seen, next->seen);
	if (next->application)
		flow->application = next->application;
	flow->name = next->name;
	flow->rule_id = next->rule_id;
	*(volatile __u64 *)&flow->decision = next->decision;
	if (action == ACTION_DENY)
		return deny(skb, packet, endpoint, key, next);
	if (action != before && action == ACTION_VIOLATE)
		report_flow(skb, packet, endpoint, key, next, direction, 1);
	return PASS;
}

static __always_inline bool is_settled(__u64 decision, const struct packet *packet, const struct endpoint *endpoint)
{
	return decision >> 32 == endpoint->epoch && (__u8)decision != ACTION_DENY &&
	       !(packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) &&
	       !(decision & FLOW_UNIDENTIFIED && packet->payload_bytes);
}

static __always_inline int police_flow(struct __sk_buff *skb, struct work *work)
{
	const struct packet *packet = &work->packet;
	const struct endpoint *endpoint = &work->endpoint;

	work->key = key_of(packet, packet->direction, endpoint->id);

	struct flow *flow = bpf_map_lookup_elem(&flows, &work->key);
	__u32 now = now_ticks();

	if (!flow || begins(flow, packet, packet->direction, now))
		return open_flow(skb, work);
	count_packet(flow, skb, packet, now);
	if (is_settled(*(volatile __u64 *)&flow->decision, packet, endpoint))
		return PASS;
	return go_on(skb, work, flow);
}

/* `place`: the interface's index, or a port's id. */
static __always_inline int police(struct __sk_buff *skb, enum direction direction, __u32 place)
{
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&scratch, &zero);
	bool is_own;
	int verdict;

	if (!work)
		return PASS;

	struct packet *packet = &work->packet;

	__builtin_memset(packet, 0, sizeof(*packet));

	enum packet_kind kind = read_packet(skb, direction, packet);
	struct endpoint *found = find_endpoint(place, packet->mac, &is_own);

	if (!found)
		return PASS;

	struct endpoint *endpoint = &work->endpoint;

	*endpoint = *found;
	if (!is_own && direction == DIRECTION_EGRESS)
		return refuse(skb, packet, endpoint, direction, REASON_SPOOFED_MAC);
	switch (kind) {
	case PACKET_PASSED:
		return PASS;
	case PACKET_FLOW:
		verdict = police_flow(skb, work);
		if (endpoint->learns && verdict == PASS && concerns_names(packet, &work->key))
			follow_names(skb, packet, &work->key);
		if (packet->is_first_fragment)
			remember_fragment(packet, endpoint, verdict);
		return verdict;
	case PACKET_FRAGMENT:
		return follow_first(skb, packet, endpoint);
	case PACKET_ICMP_ERROR:
		return follow_quoted(skb, packet, endpoint);
	case PACKET_UNSUPPORTED:
		return refuse(skb, packet, endpoint, direction, REASON_UNSUPPORTED_PROTOCOL);
	default:
		return refuse(skb, packet, endpoint, direction, REASON_INVALID_PACKET);
	}
}

SEC("tc")
int from_workload(struct __sk_buff *skb)
{
	return police(skb, DIRECTION_EGRESS, skb->ifindex);
}

SEC("tc")
int to_workload(struct __sk_buff *skb)
{
	return police(skb, DIRECTION_INGRESS, skb->ifindex);
}

/* Who sent it: the MACs say so also where copies of both directions come in by one hook. */
static __always_inline enum direction watched_direction(struct __sk_buff *skb)
{
	struct endpoint_key key = { .ifindex = skb->cb[CB_PORT] };

	if (!bpf_skb_load_bytes(skb, ETH_ALEN, key.mac, ETH_ALEN) && !is_zero(key.mac) &&
	    bpf_map_lookup_elem(&endpoints, &key))
		return DIRECTION_EGRESS;
	if (!bpf_skb_load_bytes(skb, 0, key.mac, ETH_ALEN) && !is_zero(key.mac) &&
	    bpf_map_lookup_elem(&endpoints, &key))
		return DIRECTION_INGRESS;
	return skb->cb[CB_DIRECTION] & 1;
}

/* A packet of a watched interface: decided on, counted and reported as any other, but it passes, whatever comes of it. */
SEC("tc")
int watch(struct __sk_buff *skb)
{
	/* Of a direction that it knows, the verifier sees the end sooner. */
	if (watched_direction(skb) == DIRECTION_EGRESS)
		police(skb, DIRECTION_EGRESS, skb->cb[CB_PORT]);
	else
		police(skb, DIRECTION_INGRESS, skb->cb[CB_PORT]);
	return PASS;
}

/* The same, but the verdict is that of the programs in force; where there are none, its own. */
static __always_inline int police_before_previous(struct __sk_buff *skb, enum direction direction)
{
	int verdict = police(skb, direction, skb->ifindex);

	bpf_tail_call(skb, &previous, direction);
	return verdict;
}

SEC("tc")
int shadow_from_workload(struct __sk_buff *skb)
{
	return police_before_previous(skb, DIRECTION_EGRESS);
}

SEC("tc")
int shadow_to_workload(struct __sk_buff *skb)
{
	return police_before_previous(skb, DIRECTION_INGRESS);
}

/*
 * What a first payload tells, for dp: the packet is the payload's head, filled up with zeros; cb has the payload's bytes, enum
 * side, and whether it is TCP.
 */
SEC("tc")
int tell_application(struct __sk_buff *skb)
{
	struct payload p = { .bytes = skb->cb[0], .side = skb->cb[1] };

	if (bpf_skb_load_bytes(skb, 0, p.head, sizeof(p.head)))
		return APPLICATION_UNKNOWN;
	return identify(&p, skb->cb[2]);
}

/*
 * Has an address keep a name, for dp: what is written by programs alone is never undone by a copy that was read before. The
 * packet is the address as struct address has it; cb has the name's id and the tick until which it counts.
 */
SEC("tc")
int keep_address(struct __sk_buff *skb)
{
	struct lesson *lesson = lesson_at_hand();
	__u32 name = skb->cb[0], end = skb->cb[1];

	if (!lesson || bpf_skb_load_bytes(skb, 0, &lesson->key.address, sizeof(lesson->key.address)))
		return -1;
	return remember(name, end);
}

char LICENSE[] SEC("license") = "GPL";
