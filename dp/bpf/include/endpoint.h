/* SPDX-License-Identifier: GPL-2.0 */
/* The workloads of this node, by interface and MAC. */
#pragma once

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_address);
	__type(value, __u32);
} endpoint_addresses SEC(".maps");

ABI_KEEP(enum family, family);
ABI_KEEP(enum tap, tap);

#define IPV4_PREFIX 0xffff		/* of the lower half: ::ffff:0:0/96 */
#define LINK_LOCAL_PREFIX 0x3fa		/* fe80::/10 */

/* Whether a workload sends from an address that is not its own. It may have none yet, and find neighbours by a link-local one. */
static __always_inline bool is_spoofed(const struct endpoint *endpoint, const struct address *source)
{
	struct endpoint_address key = { .address = *source, .endpoint = endpoint->id };
	bool is_ipv4 = !source->high && source->low >> 32 == IPV4_PREFIX;

	if (!(endpoint->families & (is_ipv4 ? FAMILY_IPV4 : FAMILY_IPV6)))
		return false;
	if (is_ipv4 ? !(__u32)source->low : (!source->high && !source->low) || source->high >> 54 == LINK_LOCAL_PREFIX)
		return false;
	return !bpf_map_lookup_elem(&endpoint_addresses, &key);
}

static __always_inline bool is_policed(const struct endpoint *endpoint, __u32 direction)
{
	return endpoint->policy && endpoint->directions & (direction == DIRECTION_INGRESS ? 1 : 2);
}

static __always_inline bool is_zero(const __u8 mac[6])
{
	return !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

/* The workload with this MAC on an interface or port, or else that one's own entry, and then `is_own` is false. */
static __always_inline struct endpoint *find_endpoint(__u32 place, const __u8 mac[6], bool *is_own)
{
	struct endpoint_key key = { .ifindex = place };

	__builtin_memcpy(key.mac, mac, sizeof(key.mac));

	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &key);

	*is_own = endpoint && !is_zero(mac);
	if (endpoint)
		return endpoint;
	__builtin_memset(key.mac, 0, sizeof(key.mac));
	return bpf_map_lookup_elem(&endpoints, &key);
}
