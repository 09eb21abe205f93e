/* SPDX-License-Identifier: GPL-2.0 */
/* The addresses of names that answers of resolvers to workloads have shown, and until when. */
#pragma once

#include "abi.h"
#include "report.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct learnt_key);
	__type(value, struct learnt_block);
} learnt_addresses SEC(".maps");

/* Off the stack, which is short; no program of ours interrupts another on its CPU. */
struct lesson {
	struct learnt_key key;
	struct learnt_block block;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lesson);
} lessons SEC(".maps");

static __always_inline struct lesson *lesson_at_hand(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lessons, &zero);
}

static __always_inline __u64 slot_of(__u32 name, __u32 end)
{
	return (__u64)name << 32 | end;
}

/*
 * A writer changes a block in place only while it is younger than half of what the sweeper waits for: so it never writes
 * into memory that the table has given to another address. Global, as those below: the verifier walks each once.
 */
__noinline int is_young(const struct learnt_block *block, __u32 now)
{
	if (!block)
		return false;
	for (int i = 0; i < LEARNT_SLOTS; i++)
		if ((__u32)block->slots[i] + SWEEP_TICKS / 2 > now)
			return true;
	return false;
}

/* Takes the name's own slot, or the first free one; false where there is none. */
__noinline int take_slot(struct learnt_block *block, __u32 name, __u32 end)
{
	if (!block)
		return false;
	for (int i = 0; i < LEARNT_SLOTS; i++) {
		__u64 old = block->slots[i];

		if (old && old >> 32 != name)
			continue;
		if ((__u32)old >= end)
			return true;
		/* Lost to another CPU: the same name with its own end, or another name. */
		__u64 seen = __sync_val_compare_and_swap(&block->slots[i], old, slot_of(name, end));

		if (seen == old || seen >> 32 == name)
			return true;
	}
	return false;
}

/* Remembers that the lesson's address has this name. 0, or -1 where the table takes no more. */
__noinline int remember(__u32 name, __u32 end)
{
	struct lesson *lesson = lesson_at_hand();
	__u32 now = now_ticks();

	if (!lesson)
		return -1;
	for (int i = 0; i < LEARNT_BLOCKS; i++) {
		lesson->key.block = i;

		struct learnt_block *block = bpf_map_lookup_elem(&learnt_addresses, &lesson->key);

		if (!block) {
			__builtin_memset(&lesson->block, 0, sizeof(lesson->block));
			lesson->block.slots[0] = slot_of(name, end);
			if (!bpf_map_update_elem(&learnt_addresses, &lesson->key, &lesson->block, BPF_NOEXIST))
				return 0;
			block = bpf_map_lookup_elem(&learnt_addresses, &lesson->key);	/* another CPU was first */
			if (!block)
				return -1;
		}
		if (is_young(block, now)) {
			if (take_slot(block, name, end))
				return 0;
			continue;
		}
		lesson->block = *block;
		if (take_slot(&lesson->block, name, end))
			return bpf_map_update_elem(&learnt_addresses, &lesson->key, &lesson->block, BPF_ANY) ? -1 : 0;
	}
	return -1;
}
