/* SPDX-License-Identifier: GPL-2.0 */
/* Follows the questions of a workload whose rules name hosts, and the answers that it gets to them. */
#pragma once

#include "dns/answer.h"
#include "packet.h"

#define DNS_PORT 53
/* A client has long asked again by then: 30 s. */
#define QUERY_TICKS 28
#define FLAGS_RESPONSE 0x80
#define FLAGS_KIND 0xf8		/* QR and opcode */

/* Those that dp was told of. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct address);
	__type(value, __u32);
} resolvers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct dns_query_key);
	__type(value, struct dns_query);
} dns_queries SEC(".maps");

/* What is to be learnt is known with the question: of names that no rule has, the answer costs one look-up. */
static __always_inline void note_query(struct dns *dns)
{
	const struct dns_header *header = (void *)dns->message;

	if (header->flags & FLAGS_KIND)
		return;

	__u64 question = read_question();

	if (!question || !match_name())
		return;
	dns->query.question = question;
	dns->query.sent = now_ticks();
	bpf_map_update_elem(&dns_queries, &dns->key, &dns->query, BPF_ANY);
}

static __always_inline void take_answer(struct dns *dns)
{
	const struct dns_header *header = (void *)dns->message;
	struct dns_query *query = bpf_map_lookup_elem(&dns_queries, &dns->key);

	if (!query || now_ticks() - query->sent > QUERY_TICKS)
		return;
	dns->query = *query;
	if ((header->flags & FLAGS_KIND) != FLAGS_RESPONSE || header->rcode & 0x0f)
		return;
	if (read_question() != dns->query.question) {
		count(COUNTER_ANSWERS_ALIEN);
		return;
	}
	read_answers(dns);
	bpf_map_delete_elem(&dns_queries, &dns->key);
}

/* A datagram that was let through, between the workload and port 53 of its peer. Global: the verifier walks it once. */
__noinline int follow_dns(struct __sk_buff *skb, __u32 payload_at, __u32 payload_bytes, __u32 direction)
{
	struct dns *dns = message_at_hand();

	if (!skb || !dns)
		return 0;
	dns->size = load_some(skb, payload_at, dns->message, payload_bytes, MESSAGE_BYTES);
	if (dns->size < sizeof(struct dns_header)) {
		if (payload_bytes > MESSAGE_BYTES)
			count(COUNTER_ANSWERS_CUT);
		return 0;
	}
	dns->key.id = be16_at(dns, 0);
	if (direction == DIRECTION_EGRESS)
		note_query(dns);
	else
		take_answer(dns);
	return 0;
}

/* Whether a packet is to or from a resolver, and what it says is to be followed. */
static __always_inline bool concerns_names(const struct packet *packet, const struct flow_key *key)
{
	if (key->peer_port != DNS_PORT || is_shadow)
		return false;
	return packet->protocol == IPPROTO_UDP ||
	       (packet->protocol == IPPROTO_TCP && packet->direction == DIRECTION_EGRESS &&
		(packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN);
}

static __always_inline void follow_names(struct __sk_buff *skb, const struct packet *packet, const struct flow_key *key)
{
	struct dns *dns = message_at_hand();

	if (!dns || !bpf_map_lookup_elem(&resolvers, &key->peer))
		return;
	if (packet->protocol == IPPROTO_TCP) {
		count(COUNTER_ANSWERS_BY_TCP);
		return;
	}
	dns->key.flow = *key;
	follow_dns(skb, packet->payload_at, packet->payload_bytes, packet->direction);
}
