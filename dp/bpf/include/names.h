/* SPDX-License-Identifier: GPL-2.0 */
/* The names of rules and the addresses that dp was told they have; both are written by dp alone. See learnt.h for others. */
#pragma once

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fqdn_name);
	__type(value, struct fqdn_ids);
} fqdn_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct address_names);
} address_names SEC(".maps");
