/* SPDX-License-Identifier: GPL-2.0 */
/* What the policy in force says of a flow. */
#pragma once

#include "classifier.h"
#include "endpoint.h"
#include "flow.h"

static __always_inline bool has_ports(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static __always_inline bool carries_applications(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* Whether nothing more will be known of its application. */
static __always_inline bool is_identified(const struct flow_key *key, const struct flow *flow)
{
	return !carries_applications(key->protocol) || flow->application || (flow->seen & SEEN_PAYLOADS) == SEEN_PAYLOADS;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct listener);
	__type(value, __u32);	/* enum application */
} listeners SEC(".maps");

/* Where no payload tells it, what a workload's port was said to speak counts. */
static __noinline int take_told_application(const struct endpoint *endpoint, const struct flow_key *key,
					    struct flow *flow)
{
	struct listener listener = {
		.endpoint = endpoint->id,
		.port = key->local_port,
		.protocol = key->protocol,
	};
	__u32 *told;

	if (flow->application || flow->direction != DIRECTION_INGRESS || !is_identified(key, flow))
		return 0;
	told = bpf_map_lookup_elem(&listeners, &listener);
	if (told)
		flow->application = *told;
	return 0;
}

/*
 * Sets action, rule and name of a flow. While its application is not known and
 * a rule with applications would go first, it passes: ACTION_NONE, and the
 * rule is settled by a later payload. Global: the verifier walks it once, whatever
 * its callers look like, and its stack is its own.
 */
__noinline int decide(const struct endpoint *endpoint, const struct flow_key *key, struct flow *flow)
{
	if (!endpoint || !key || !flow)
		return 0;

	struct query query = {
		.flow = key,
		.key = key->protocol << 16,
		.application = flow->application,
		.direction = flow->direction,
		.name = flow->name,
	};
	__u32 index = endpoint->policy, action = endpoint->default_action, flags = 0;
	void *blob;

	flow->rule_id = 0;
	if (!is_policed(endpoint, flow->direction)) {
		action = ACTION_OPEN;
		goto decided;
	}
	if (has_ports(key->protocol))
		query.key |= flow->direction == DIRECTION_EGRESS ? key->peer_port : key->local_port;

	struct search search = { .policy = index, .application = flow->application };
	struct match *match = &search.match;
	struct rule *rule;

	classify(&search, &query);

	blob = bpf_map_lookup_elem(&policies, &index);
	if (!blob)
		goto decided;

	flow->name = match->name;
	if (match->app != NO_RANK)
		flags = FLOW_BY_APPLICATION;
	if (match->app < match->base) {
		if (!is_identified(key, flow)) {
			flow->name = match->app_name;
			action = ACTION_NONE;
			goto decided;
		}
		/*
		 * What was open before it was seen can't be told any more. It is taken for what the rule
		 * says: it must neither escape a denial nor be cut where it is allowed.
		 */
		if (flow->seen & SEEN_TOO_LATE) {
			match->base = match->app;
			flow->name = match->app_name;
		}
	}
	rule = match->base == NO_RANK ? NULL : rule_at(blob, match->base);
	if (rule) {
		flow->rule_id = rule->id;
		action = rule->action;
	}
decided:
	if (action == ACTION_DENY && endpoint->tap)
		action = ACTION_VIOLATE;
	if (!is_identified(key, flow))
		flags |= FLOW_UNIDENTIFIED;
	flow->decision = (__u64)endpoint->epoch << 32 | flags | action;
	return 0;
}
