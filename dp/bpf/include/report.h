/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs tell dp: events, hits of rules, drops by reason. What does not fit is counted, never waited for. */
#pragma once

#include "abi.h"
#include "packet.h"
#include "shadow.h"

/* A denied flow, and each reason of a workload, is reported at most once in 2 s: one tick more than fit into that. */
#define REPORT_TICKS 3

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 21);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 18);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hit_key);
	__type(value, struct hit_count);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

ABI_KEEP(struct event, event);
ABI_KEEP(struct table, table);
ABI_KEEP(enum action, action);
ABI_KEEP(enum direction, direction);
ABI_KEEP(enum application, application);
ABI_KEEP(enum reason, reason);
ABI_KEEP(enum counter, counter);

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value && !is_shadow)
		++*value;
}

static __always_inline __u32 now_ticks(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

/* How an event came about, but for the packet itself. */
struct cause {
	__u32 count;
	__u32 rule_id;
	__u32 revision;
	__u8 reason;
	__u8 action;
	__u8 packet_direction;
	__u8 flow_direction;
	__u8 application;
	__u8 passed;
};

static __noinline int emit(struct __sk_buff *skb, const struct packet *packet, const struct flow_key *key,
			   const struct cause *cause)
{
	struct event *event;
	__u32 bytes = skb->len < CAPTURED_BYTES ? skb->len : CAPTURED_BYTES;

	if (is_shadow)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(COUNTER_EVENTS_LOST);
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->key = *key;
	event->count = cause->count;
	event->rule_id = cause->rule_id;
	event->revision = cause->revision;
	event->ifindex = skb->ifindex;
	event->packet_bytes = skb->len;
	event->ether_type = packet->ether_type;
	event->reason = cause->reason;
	event->action = cause->action;
	event->packet_direction = cause->packet_direction;
	event->flow_direction = cause->flow_direction;
	event->application = cause->application;
	event->passed = cause->passed;
	event->icmp_type = packet->icmp_type;
	event->icmp_code = packet->icmp_code;
	__builtin_memcpy(event->mac, packet->mac, sizeof(event->mac));
	__builtin_memset(event->captured, 0, sizeof(event->captured));
	event->captured_bytes = load_some(skb, 0, event->captured, bytes, CAPTURED_BYTES);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

static __always_inline void count_hit(__u32 endpoint, __u32 revision, __u32 rule_id)
{
	struct hit_key key = { .endpoint = endpoint, .revision = revision, .rule_id = rule_id };
	struct hit_count *count_of;
	struct hit_count first = { .hits = 1, .last_ns = bpf_ktime_get_ns() };

	if (is_shadow)
		return;
	count_of = bpf_map_lookup_elem(&hits, &key);
	if (!count_of) {
		if (!bpf_map_update_elem(&hits, &key, &first, BPF_NOEXIST))
			return;
		count_of = bpf_map_lookup_elem(&hits, &key);	/* another CPU was first */
	}
	if (!count_of) {
		count(COUNTER_HITS_LOST);
		return;
	}
	__sync_fetch_and_add(&count_of->hits, 1);
	count_of->last_ns = first.last_ns;
}

/* Counts a packet dropped for this reason; how many a report now stands for, or 0 where none is due. */
static __always_inline __u32 count_drop(__u32 endpoint, __u32 reason)
{
	struct drop_key key = { .endpoint = endpoint, .reason = reason };
	struct drop_count *drop;
	__u32 now = now_ticks();
	struct drop_count first = { .packets = 1, .reported = now };

	if (is_shadow)
		return 0;
	drop = bpf_map_lookup_elem(&drops, &key);
	if (!drop)
		return bpf_map_update_elem(&drops, &key, &first, BPF_NOEXIST) ? 0 : 1;
	__sync_fetch_and_add(&drop->packets, 1);

	__u32 due = drop->unreported + 1;

	if (now - drop->reported < REPORT_TICKS) {
		__sync_fetch_and_add(&drop->unreported, 1);
		return 0;
	}
	drop->reported = now;
	drop->unreported = 0;
	return due;
}
