/* SPDX-License-Identifier: GPL-2.0 */
/* Takes headers off a packet one after the other, and bytes out of it. */
#pragma once

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct cursor {
	void *start, *pos, *end;
};

/* Takes the next header off the packet, or NULL where it is cut short. */
#define take(cur, type) ({					\
	type *head = (cur)->pos;				\
	(cur)->pos = head + 1;					\
	(cur)->pos > (cur)->end ? NULL : head; })

/* Bytes from the frame's start. Behind the barrier clang can't make it 32-bit arithmetic on a pointer. */
static __always_inline __u32 bytes_into(const struct cursor *cur, const void *pos)
{
	__u64 bytes = pos - cur->start;

	barrier_var(bytes);
	return bytes;
}

/*
 * Loads `bytes` bytes, of 1 to `most`; answers how many it did. Counted from 0
 * behind the barrier: Linux 6.1 follows a range that way, but no "not 0".
 */
static __always_inline __u32 load_some(struct __sk_buff *skb, __u32 at, void *to, __u32 bytes, __u32 most)
{
	__u32 last = bytes - 1;

	barrier_var(last);
	if (last >= most || bpf_skb_load_bytes(skb, at, to, last + 1))
		return 0;
	return last + 1;
}

static __always_inline struct cursor cursor_of(struct __sk_buff *skb)
{
	void *start = (void *)(long)skb->data;

	return (struct cursor){ .start = start, .pos = start, .end = (void *)(long)skb->data_end };
}
