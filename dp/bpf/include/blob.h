/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy's blob: an array map of 16-byte records inside `policies`, so that
 * it is as large as it needs to be, is written through mmap and swapped whole.
 */
#pragma once

#include "abi.h"

struct blob {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	/* BPF_F_INNER_MAP (5.10) lets each blob have its own max_entries. */
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	/* Sizes, not types: a type named only here stays a forward declaration in BTF. */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, RECORD_SIZE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_POLICIES);
	__type(key, __u32);
	__array(values, struct blob);
} policies SEC(".maps");

/* A record of the blob, or NULL past its end: the kernel checks the bound. */
static __always_inline void *record_at(void *blob, __u32 record)
{
	return bpf_map_lookup_elem(blob, &record);
}
