/* SPDX-License-Identifier: GPL-2.0 */
/* From a decision to what happens to the packet: passed or dropped, counted and reported. */
#pragma once

#include <linux/pkt_cls.h>

#include "endpoint.h"
#include "flow.h"
#include "report.h"

#define PASS TC_ACT_UNSPEC	/* TCX_NEXT: programs after this one have their say */
#define DROP TC_ACT_SHOT

static __always_inline int drop(__u32 reason)
{
	count(COUNTER_DROPS + reason);
	return DROP;
}

static __always_inline bool is_spoofing(__u32 reason)
{
	return reason == REASON_SPOOFED_MAC || reason == REASON_SPOOFED_ADDRESS;
}

/* A packet that is no flow's: dropped where its direction is policed, a spoofed one under any policy. */
static __noinline int refuse(struct __sk_buff *skb, const struct packet *packet, const struct endpoint *endpoint,
			     __u32 direction, __u32 reason)
{
	if (!is_policed(endpoint, direction) && !(endpoint->policy && is_spoofing(reason)))
		return PASS;

	struct flow_key key = key_of(packet, direction, endpoint->id);
	__u32 due = count_drop(endpoint->id, reason);
	struct cause cause = {
		.count = due,
		.revision = endpoint->revision,
		.reason = reason,
		.action = endpoint->tap ? ACTION_VIOLATE : ACTION_DENY,
		.packet_direction = direction,
		.flow_direction = direction,
		.passed = !!endpoint->tap,
	};

	if (due)
		emit(skb, packet, &key, &cause);
	return endpoint->tap ? PASS : drop(reason);
}

static __always_inline void report_flow(struct __sk_buff *skb, const struct packet *packet,
					const struct endpoint *endpoint, const struct flow_key *key,
					const struct flow *flow, __u32 direction, __u32 packets)
{
	__u8 action = flow->decision;
	struct cause cause = {
		.count = packets,
		.rule_id = flow->rule_id,
		.revision = endpoint->revision,
		.reason = REASON_POLICY,
		.action = action,
		.packet_direction = direction,
		.flow_direction = flow->direction,
		.application = flow->application,
		.passed = action != ACTION_DENY,
	};

	emit(skb, packet, key, &cause);
}

/* The packet of a denied flow. */
static __noinline int deny(struct __sk_buff *skb, const struct packet *packet, const struct endpoint *endpoint,
			   const struct flow_key *key, const struct flow *flow)
{
	__u32 direction = packet->direction, now = now_ticks();
	struct denial *denial = bpf_map_lookup_elem(&denials, key);
	struct denial first = {
		.decision = flow->decision,
		.rule_id = flow->rule_id,
		.reported = now,
		.direction = flow->direction,
		.application = flow->application,
	};

	count_drop(endpoint->id, REASON_POLICY);
	if (!denial || denial->rule_id != flow->rule_id || denial->direction != flow->direction) {
		bpf_map_update_elem(&denials, key, &first, BPF_ANY);
		report_flow(skb, packet, endpoint, key, flow, direction, 1);
		return drop(REASON_POLICY);
	}
	*(volatile __u64 *)&denial->decision = flow->decision;
	denial->application = flow->application;
	denial->is_past = 0;
	if (now - denial->reported >= REPORT_TICKS) {
		report_flow(skb, packet, endpoint, key, flow, direction, denial->unreported + 1);
		denial->reported = now;
		denial->unreported = 0;
	} else {
		__sync_fetch_and_add(&denial->unreported, 1);
	}
	return drop(REASON_POLICY);
}
