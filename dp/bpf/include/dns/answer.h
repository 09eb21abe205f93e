/* SPDX-License-Identifier: GPL-2.0 */
/* Learns the addresses of rules' names from a resolver's answer on its way to the workload that asked. */
#pragma once

#include "dns/message.h"
#include "learnt.h"

#define ANSWERS_MAX 256
#define FLAGS_TRUNCATED 0x02
#define TTL_SIGN (1U << 31)	/* RFC 2181 8: such a TTL is 0 */
/* A client may use an answer a little after its TTL; and none counts for longer than a day. */
#define TTL_MIN_S 60
#define TTL_MAX_S 86400

struct dns_record {
	__be16 type, class;
	__be32 ttl;
	__be16 size;
} __attribute__((packed));

static __always_inline __u32 end_of(__u32 ttl_s)
{
	__u64 seconds = ttl_s < TTL_MIN_S ? TTL_MIN_S : ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S;

	return now_ticks() + (__u32)(seconds * 1000000000 >> TICK_SHIFT) + 1;
}

/* The lesson's address has all names that the question matched. */
static __always_inline int remember_all(struct dns *dns, __u32 ttl_s)
{
	__u32 end = end_of(ttl_s < dns->ttl_s ? ttl_s : dns->ttl_s);

	for (__u32 i = 0; i < MATCHES_MAX && i < dns->query.count; i++)
		if (remember(dns->query.names[i], end)) {
			count(COUNTER_ANSWERS_LOST);
			return -1;
		}
	return 0;
}

/* Reads the answer at `at`; one for another name is stepped over. 0, or -1 where the rest can't be read. */
__noinline int read_answer(__u32 at)
{
	struct dns *dns = message_at_hand();
	struct lesson *lesson = lesson_at_hand();
	int is_ours = 1;

	if (!dns || !lesson)
		return -1;
	if (at + 1 < dns->size && be16_at(dns, at) == (POINTER << 8 | dns->target_at)) {
		at += 2;	/* what nearly every server sends: no need to walk it */
	} else {
		is_ours = read_name(at, NAME_COMPARE);
		if (is_ours < 0)
			return -1;
		at = dns->next;
	}

	__u32 data = at + sizeof(struct dns_record);

	if (data > dns->size)
		return -1;

	const struct dns_record *record = (void *)&dns->message[at & (MESSAGE_BYTES - 1)];
	__u16 type = bpf_ntohs(record->type), size = bpf_ntohs(record->size);
	__u32 ttl_s = bpf_ntohl(record->ttl) & TTL_SIGN ? 0 : bpf_ntohl(record->ttl);

	if (data + size > dns->size)
		return -1;

	const __u8 *bytes = &dns->message[data & (MESSAGE_BYTES - 1)];

	dns->next = data + size;
	if (!is_ours || record->class != bpf_htons(CLASS_IN))
		return 0;
	if (type == TYPE_CNAME) {
		if (read_name(data, NAME_STORE) < 0)
			return -1;
		dns->target_at = data;
		if (ttl_s < dns->ttl_s)
			dns->ttl_s = ttl_s;
		return dns->next == data + size ? 0 : -1;
	}
	if (type == TYPE_A) {
		if (size != 4)
			return -1;
		lesson->key.address.high = 0;
		lesson->key.address.low = 0xffffULL << 32 | bpf_ntohl(*(__be32 *)bytes);
	} else if (type == TYPE_AAAA) {
		if (size != 16)
			return -1;
		lesson->key.address.high = bpf_be64_to_cpu(*(__be64 *)bytes);
		lesson->key.address.low = bpf_be64_to_cpu(*(__be64 *)(bytes + 8));
	} else {
		return 0;
	}
	return remember_all(dns, ttl_s);
}

/* Header and question were read, and a query matches: all records of the answer, the additional ones left alone. */
static __always_inline void read_answers(struct dns *dns)
{
	const struct dns_header *header = (void *)dns->message;

	dns->ttl_s = TTL_SIGN - 1;
	dns->left = bpf_ntohs(header->answers);
	if (header->flags & FLAGS_TRUNCATED)
		count(COUNTER_ANSWERS_CUT);
	else if (dns->left)
		count(COUNTER_ANSWERS_LEARNT);
	for (int i = 0; i < ANSWERS_MAX; i++) {
		barrier();
		if (!dns->left)
			return;
		dns->left--;
		if (read_answer(dns->next))
			break;
	}
	if (!(header->flags & FLAGS_TRUNCATED))
		count(COUNTER_ANSWERS_CUT);
}
