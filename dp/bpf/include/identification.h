/* SPDX-License-Identifier: GPL-2.0 */
/* Looks at the first payload of each side of a flow, until its application is known or neither side tells it. */
#pragma once

#include "applications/identify.h"
#include "flow.h"

/* A side that has sent this much while the other kept silent says no more about itself. */
#define SILENCE_BYTES 2048

static __always_inline bool load_payload(struct __sk_buff *skb, const struct packet *packet, struct payload *p)
{
	__u32 bytes = packet->payload_bytes < HEAD_BYTES ? packet->payload_bytes : HEAD_BYTES;

	p->bytes = packet->payload_bytes;
	return load_some(skb, packet->payload_at, p->head, bytes, HEAD_BYTES);
}

/* How far into its side's stream a payload begins. */
static __always_inline __u32 stream_offset(struct flow *flow, const struct packet *packet,
					   enum direction direction)
{
	if (packet->protocol != IPPROTO_TCP)
		return 0;
	return packet->sequence + !!(packet->tcp_flags & TCP_SYN) - *start_of(flow, direction);
}

/* Sets the flow's application where this packet tells it. Not inlined: the payload has a stack of its own. */
static __noinline int look_at_payload(struct __sk_buff *skb, const struct packet *packet, struct flow *flow,
				      enum direction direction)
{
	struct payload p = {};
	__u32 offset = stream_offset(flow, packet, direction);

	if (!packet->payload_bytes)
		return 0;
	if (packet->protocol == IPPROTO_TCP && !(flow->seen & (SEEN_START_EGRESS << direction))) {
		flow->seen |= SEEN_PAYLOADS | SEEN_TOO_LATE;
		return 0;
	}
	if (offset == 0 && load_payload(skb, packet, &p)) {
		p.side = direction == flow->direction ? FROM_CLIENT : FROM_SERVER;
		flow->application = identify(&p, packet->protocol == IPPROTO_TCP);
		flow->seen |= SEEN_PAYLOAD_EGRESS << direction;
	}
	/* A datagram that is not told says that the rest won't be: else one side could send without end. */
	if (flow->application || packet->protocol != IPPROTO_TCP || (offset > SILENCE_BYTES && offset < 1U << 31))
		flow->seen |= SEEN_PAYLOADS;
	return 0;
}
