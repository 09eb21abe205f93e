// SPDX-License-Identifier: GPL-2.0
/* dp's own programs, and parts of them to be timed alone: a look-up in a policy, and a flow that is new each time. */

#include "policy.bpf.c"

#define SOURCE_PORT_AT 34	/* Ethernet and IPv4 without options */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_key);
} question SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next_port SEC(".maps");

/*
 * What a policy says of the flow in `question`, opened by the workload: the rank of the rule. Which policy is in the
 * place of the endpoint.
 */
SEC("tc")
int classify_question(struct __sk_buff *skb __attribute__((unused)))
{
	__u32 zero = 0;
	struct flow_key *flow = bpf_map_lookup_elem(&question, &zero);

	if (!flow)
		return -1;

	struct query query = {
		.flow = flow,
		.key = flow->protocol << 16 | flow->peer_port,
		.direction = DIRECTION_EGRESS,
	};
	struct search search = { .policy = flow->endpoint };

	classify(&search, &query);
	return search.match.base;
}

static __always_inline void take_next_port(struct __sk_buff *skb)
{
	__u32 zero = 0, *next = bpf_map_lookup_elem(&next_port, &zero);

	if (!next)
		return;

	__be16 port = bpf_htons(*next);

	(*next)++;
	bpf_skb_store_bytes(skb, SOURCE_PORT_AT, &port, sizeof(port), 0);
}

/* What making each packet another flow costs. */
SEC("tc")
int vary_port(struct __sk_buff *skb)
{
	take_next_port(skb);
	return PASS;
}

SEC("tc")
int from_workload_by_next_port(struct __sk_buff *skb)
{
	take_next_port(skb);
	return police(skb, DIRECTION_EGRESS, skb->ifindex);
}
