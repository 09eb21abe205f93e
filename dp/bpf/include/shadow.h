/* SPDX-License-Identifier: GPL-2.0 */
/*
 * While tables of another layout are filled, new programs run before the ones
 * that are in force: they keep flows as if they decided, and leave verdict,
 * hits, drops and reports to the others (dp/kernel/migration.ts).
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* Set before the programs are loaded: without it, nothing of a shadow is left in them. */
const volatile __u32 is_shadow SEC(".rodata.shadow");

/* The programs in force, by the direction that they police. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} previous SEC(".maps");
