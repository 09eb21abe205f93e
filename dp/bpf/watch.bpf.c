// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded once for each watched interface, of which it says which one it is: interfaces of different network namespaces
 * may have one index. What then happens is `watch` in policy.bpf.c, which all of them share and a new dp replaces.
 */

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "watched.h"

const volatile __u32 port;

static __always_inline int hand_over(struct __sk_buff *skb, __u32 direction)
{
	skb->cb[CB_PORT] = port;
	skb->cb[CB_DIRECTION] = direction;
	bpf_tail_call(skb, &watchers, 0);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int watch_sent(struct __sk_buff *skb)
{
	return hand_over(skb, DIRECTION_EGRESS);
}

SEC("tc")
int watch_received(struct __sk_buff *skb)
{
	return hand_over(skb, DIRECTION_INGRESS);
}

char LICENSE[] SEC("license") = "GPL";
