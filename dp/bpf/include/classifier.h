/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Finds the lowest-id rule that matches a packet.
 *
 * Tables are searched in breadth-first (Eytzinger) order: child nodes of k are
 * 2k and 2k + 1. A walk starts at header.one rather than at the constant 1:
 * the verifier then has no known bits to follow, and walks a third as far.
 */
#pragma once

#include "abi.h"
#include "blob.h"
#include "learnt.h"
#include "names.h"

#define MAX_STEPS 18

/* A flow as the rules see it. */
struct query {
	const struct flow_key *flow;
	__u32 key;		/* protocol << 16 | port, as the rules have them */
	__u32 application;	/* 0 while unknown */
	__u32 direction;	/* enum direction */
	__u32 name;		/* FQDN id that the flow was allowed by; 0 is none */
};

struct match {
	__u32 base;		/* rank of the rule that applies, or NO_RANK */
	__u32 app;		/* while the application is unknown: lowest rank of a rule with apps */
	__u32 name, app_name;	/* FQDN ids that led to base and to app; 0 is none */
};

static __always_inline __u32 word_at(void *blob, __u32 word)
{
	__u32 *record = record_at(blob, word / 4);

	return record ? record[word % 4] : 0;
}

/*
 * All ones where bit 63 is set. Clang would see a comparison in the
 * subtraction and make it a jump; the barrier keeps it arithmetic.
 */
static __always_inline __u64 sign(__u64 difference)
{
	barrier_var(difference);
	return (__s64)difference >> 63;
}

static __always_inline __u64 borrow(__u64 a, __u64 b, __u64 difference)
{
	return (~a & b) | ((~a | b) & difference);
}

/* All ones where a < b. */
static __always_inline __u64 is_below(const struct address *a, __u64 high, __u64 low)
{
	__u64 carry = sign(borrow(a->low, low, a->low - low));

	return sign(borrow(a->high, high, a->high - high + carry));
}

/* The value of the last address at or before `at`; a table starts at ::. */
static __always_inline __u32 find_address(void *blob, struct table table, const struct address *at, __u32 one)
{
	__u32 k = one, found = one;

	for (int i = 0; i < MAX_STEPS && k <= table.count; i++) {
		struct address *start = record_at(blob, table.record + k);

		if (!start)
			break;

		__u32 before = is_below(at, start->high, start->low);

		found ^= (found ^ k) & ~before;
		k = 2 * k + 1 + before;
	}
	return word_at(blob, (table.record + table.count + 1) * 4 + found);
}

/* The last step at or before `key`, as value << 32 | start; the first of all if there is none. */
static __always_inline __u64 find_step(void *blob, struct table table, __u32 key, __u32 one)
{
	__u32 k = one, found = one;
	__u64 *pair;

	for (int i = 0; i < MAX_STEPS && k <= table.count; i++) {
		pair = record_at(blob, table.record + k / 2);
		if (!pair)
			break;

		__u32 before = sign((__u64)key - (__u32)pair[k & 1]);

		found ^= (found ^ k) & ~before;
		k = 2 * k + 1 + before;
	}
	pair = record_at(blob, table.record + found / 2);
	return pair ? pair[found & 1] : 0;
}

static __always_inline __u32 lower(__u32 a, __u32 b)
{
	return a + ((b - a) & (__u32)sign((__u64)b - a));
}

static __always_inline void descend(void *blob, __u32 node, __u32 segment, __u32 depth, struct match *match)
{
	for (int i = 0; i <= MAX_STEPS && node; i++) {
		struct port_node *at = record_at(blob, node);

		if (!at)
			break;
		match->base = lower(match->base, at->base);
		match->app = lower(match->app, at->app);
		depth--;
		node = *(__u64 *)at >> ((segment >> (depth & 31) & 1) * 32);
	}
}

static __always_inline void descend_both(void *blob, __u32 root, __u32 segment, __u32 own, __u32 depth,
					 __u32 application, struct match *match)
{
	descend(blob, root, segment, depth, match);
	if (application)
		descend(blob, root, own, depth, match);
}

/* What a search has found out before it comes to the trees. */
struct search {
	__u32 policy;		/* index of `policies` */
	__u32 one, depth;	/* of the header */
	__u32 application;
	__u32 segment, own;	/* port segments: for any application, and for this one */
	struct table names;
	struct match match;
};

/* Adds the rules of one name. Global: the verifier walks it once, not once a name. */
__noinline int descend_name(struct search *search, __u32 id)
{
	if (!search)
		return 0;

	__u32 index = search->policy;
	void *blob = bpf_map_lookup_elem(&policies, &index);

	if (!blob)
		return 0;

	__u64 step = find_step(blob, search->names, id, search->one);
	struct match match = search->match;

	if ((__u32)step != id)
		return 0;
	descend_both(blob, step >> 32, search->segment, search->own, search->depth, search->application, &match);
	if (match.base != search->match.base)
		match.name = id;
	if (match.app != search->match.app)
		match.app_name = id;
	search->match = match;
	return 0;
}

/* Blocks fill in order: a free slot is the end. */
static __always_inline void descend_learnt(struct search *search, struct learnt_key *key)
{
	__u32 now = now_ticks();

	for (int block = 0; block < LEARNT_BLOCKS; block++) {
		key->block = block;

		const struct learnt_block *learnt = bpf_map_lookup_elem(&learnt_addresses, key);

		for (int i = 0; learnt && i < LEARNT_SLOTS; i++) {
			__u64 slot = learnt->slots[i];

			if (!slot)
				return;
			if ((__u32)slot > now)
				descend_name(search, slot >> 32);
		}
		if (!learnt)
			return;
	}
}

static __always_inline void descend_names(struct search *search, const struct query *query)
{
	struct learnt_key key = { .address = query->flow->peer };	/* Linux 6.1 takes no key from a global function's argument */
	struct address_names *known = bpf_map_lookup_elem(&address_names, &key.address);

	if (query->name)	/* an address that ended does not cut a flow that it let in */
		descend_name(search, query->name);
	for (__u32 i = 0; known && i < NAMES_PER_ADDRESS && i < known->count; i++)
		descend_name(search, known->ids[i]);
	descend_learnt(search, &key);
}

/* The caller holds what the search finds, `match` at last: one struct less on a stack that is short. */
static __always_inline void classify(struct search *search, const struct query *query)
{
	search->match = (struct match){ .base = NO_RANK, .app = NO_RANK };

	__u32 index = search->policy;
	void *blob = bpf_map_lookup_elem(&policies, &index);

	if (!blob)
		return;

	struct policy_header *header = record_at(blob, 0);
	struct table *locals = record_at(blob, 1);	/* header.locals */

	if (!header || !locals)
		return;

	__u32 one = header->one;
	struct table ports = { header->ports.record, header->ports.count };
	struct table local = { locals[query->direction & 1].record, locals[query->direction & 1].count };

	search->one = one;
	search->depth = header->depth;

	__u32 record = find_address(blob, local, &query->flow->local, one);
	struct scope *scope = record_at(blob, record);

	if (!scope || !record)
		return;

	struct table peers = { scope->peers.record, scope->peers.count };

	search->names = scope->names;
	search->segment = find_step(blob, ports, query->key, one) >> 32;
	search->own = search->segment;
	if (query->application)
		search->own = find_step(blob, ports, query->application << 24 | query->key, one) >> 32;
	descend_both(blob, find_address(blob, peers, &query->flow->peer, one), search->segment, search->own, search->depth,
		     query->application, &search->match);
	if (search->names.count)
		descend_names(search, query);
}

/* The rule of a rank, or NULL. */
static __always_inline struct rule *rule_at(void *blob, __u32 rank)
{
	__u32 *record = record_at(blob, 2);	/* header.rules */

	if (!record)
		return NULL;

	struct rule *pair = record_at(blob, record[0] + rank / 2);

	return pair ? &pair[rank & 1] : NULL;
}
