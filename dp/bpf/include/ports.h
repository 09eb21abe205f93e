/* SPDX-License-Identifier: GPL-2.0 */
/* The ports that dp was told of: read by no program, but there again for a dp that comes back. */
#pragma once

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);	/* from FIRST_PORT on, where no interface's index reaches */
	__type(value, struct port);
} ports SEC(".maps");
