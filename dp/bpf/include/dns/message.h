/* SPDX-License-Identifier: GPL-2.0 */
/* A DNS message (RFC 1035 4.1) and how its names are read. */
#pragma once

#include <bpf/bpf_endian.h>

#include "abi.h"
#include "names.h"

#define MESSAGE_BYTES 4096	/* what a resolver may send over UDP, in practice 1232 */
#define HOPS_MAX 16		/* compression pointers in one name */
#define LABELS_MAX 128
#define POINTER 0xc0		/* RFC 1035 4.1.4 */

#define TYPE_A 1
#define TYPE_CNAME 5
#define TYPE_AAAA 28
#define CLASS_IN 1

struct dns_header {
	__be16 id;
	__u8 flags;		/* QR, opcode, AA, TC, RD */
	__u8 rcode;		/* RA, Z, AD, CD, RCODE */
	__be16 questions, answers, authorities, additionals;
};

/* One message and what was read of it. */
struct dns {
	__u8 message[MESSAGE_BYTES + 32];	/* room for a fixed-size read at the last byte */
	__u8 target[2 * NAME_BYTES];		/* the name whose records count; see match_name() */
	struct dns_query_key key;
	struct dns_query query;
	__u32 size;
	__u32 next;				/* byte after the last thing read */
	__u32 target_at;			/* where `target` stands in the message */
	__u32 ttl_s;				/* least one of the chain up to here */
	__u32 suffix;				/* of `target`, that is looked up */
	__u32 left;				/* answers */
	struct name_walk {
		__u32 at;			/* the next byte to read */
		__u32 start, end;		/* of the stretch it is in, between two pointers */
		__u32 hops;
		__u32 after;			/* byte after the first pointer, 0 before one */
		__u32 used;			/* bytes of the name so far */
		__u32 left;			/* bytes left of the label; 0 before a length byte */
		__u32 differs;
	} walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dns);
} dns_messages SEC(".maps");

/* Each function takes it from the table again: Linux 6.1 takes no key from a global function's argument. */
static __always_inline struct dns *message_at_hand(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&dns_messages, &zero);
}

enum name_use { NAME_STORE, NAME_COMPARE };

static __always_inline __u8 lowercase(__u8 byte)
{
	return byte - 'A' < 26U ? byte | 0x20 : byte;
}

static __always_inline __u16 be16_at(const struct dns *dns, __u32 at)
{
	const __u8 *two = &dns->message[at & (MESSAGE_BYTES - 1)];

	return two[0] << 8 | two[1];
}

/* Follows the pointer whose first byte was just read. */
static __always_inline int follow_pointer(struct dns *dns)
{
	struct name_walk *walk = &dns->walk;
	__u32 at = walk->at;

	if (at >= walk->end)
		return -1;
	if (!walk->after)
		walk->after = at + 1;
	walk->at = be16_at(dns, at - 1) & 0x3fff;
	if (walk->at >= walk->start || ++walk->hops > HOPS_MAX)
		return -1;
	walk->end = walk->start;
	walk->start = walk->at;
	return 0;
}

/*
 * Reads the name at `at` into `target`, or compares it with that: answers 1 for the same name, 0 for another, -1 for what is
 * no name or is cut. Each stretch must lie wholly before the one that points at it, so no chain of pointers loops.
 *
 * The walk's state is read back from the map on each pass. The verifier knows nothing of a value that comes from there, so
 * all passes look alike to it; with the state in registers it runs into its limit of 1M instructions.
 */
__noinline int read_name(__u32 at, __u32 use)
{
	struct dns *dns = message_at_hand();

	if (!dns)
		return -1;

	struct name_walk *walk = &dns->walk;

	*walk = (struct name_walk){ .at = at, .start = at, .end = dns->size };
	for (int step = 0; step < NAME_BYTES + HOPS_MAX; step++) {
		barrier();
		if (walk->at >= walk->end)
			return -1;

		__u8 byte = dns->message[walk->at++ & (MESSAGE_BYTES - 1)];
		bool is_length = !walk->left;

		if (is_length && byte >= POINTER) {
			if (follow_pointer(dns))
				return -1;
			continue;
		}
		if (is_length && byte >= 64)
			return -1;
		walk->left = is_length ? byte : walk->left - 1;
		if (!is_length)
			byte = lowercase(byte);

		__u32 used = walk->used++;
		__u8 *same = &dns->target[used & (NAME_BYTES - 1)];

		if (used >= NAME_BYTES - 1)
			return -1;
		if (use == NAME_STORE)
			*same = byte;
		walk->differs |= *same ^ byte;
		if (is_length && !byte) {
			dns->next = walk->after ? walk->after : walk->at;
			return !walk->differs;
		}
	}
	return -1;
}

/*
 * The ids of the rules' names that `target` is or is below, into the query. Each suffix of a wire name is itself a key, since
 * zeros follow it: `target` holds the name in its first half and nothing in its second.
 */
__noinline int match_name(void)
{
	struct dns *dns = message_at_hand();

	if (!dns)
		return 0;
	dns->suffix = 0;
	dns->query.count = 0;
	for (int label = 0; label < LABELS_MAX; label++) {
		barrier();

		const __u8 *suffix = dns->target + (dns->suffix & (NAME_BYTES - 1));
		const struct fqdn_ids *ids = bpf_map_lookup_elem(&fqdn_names, suffix);
		__u32 id = !ids ? 0 : label ? ids->below : ids->exact;

		if (id && dns->query.count < MATCHES_MAX)
			dns->query.names[dns->query.count++ & (MATCHES_MAX - 1)] = id;
		if (!*suffix)
			break;
		dns->suffix += *suffix + 1;
	}
	return dns->query.count;
}

/* Reads header and question into `target`; answers the question's digest, or 0 for what is none of ours. */
__noinline __u64 read_question(void)
{
	struct dns *dns = message_at_hand();

	if (!dns)
		return 0;

	const struct dns_header *header = (void *)dns->message;

	if (dns->size < sizeof(*header) || header->questions != bpf_htons(1))
		return 0;
	__builtin_memset(dns->target, 0, NAME_BYTES);
	dns->target_at = sizeof(*header);
	if (read_name(sizeof(*header), NAME_STORE) < 0 || dns->next + 4 > dns->size)
		return 0;

	__u16 type = be16_at(dns, dns->next), class = be16_at(dns, dns->next + 2);

	if ((type != TYPE_A && type != TYPE_AAAA) || class != CLASS_IN)
		return 0;
	dns->next += 4;

	/* FNV-1a over words: the name is zero-filled. */
	__u64 digest = 0xcbf29ce484222325ULL ^ type;
	const __u64 *words = (void *)dns->target;

	for (int i = 0; i < NAME_BYTES / 8; i++) {
		if ((__u32)i * 8 >= dns->walk.used)
			break;
		digest = (digest ^ words[i]) * 0x100000001b3ULL;
		digest ^= digest >> 29;
	}
	return digest | 1;
}
