/* SPDX-License-Identifier: GPL-2.0 */
/* How the program of one watched interface hands a packet to the one that all of them share. */
#pragma once

#include "abi.h"

/* Places in skb->cb. */
#define CB_PORT 0
#define CB_DIRECTION 1		/* enum direction, by the hook */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} watchers SEC(".maps");
