/* SPDX-License-Identifier: GPL-2.0 */
/* DNS: a header with one question, whose name starts with a sane label (RFC 1035 4.1). */
#pragma once

#include "payload.h"

/* `at` is 2 over TCP, after the length. */
static __always_inline bool is_dns_at(const struct payload *p, __u32 at)
{
	__u8 flags = p->head[at + 2], label = p->head[at + 12];
	bool is_response = flags & 0x80;

	if (p->bytes < at + 17 || be16(p, at + 4) != 1 || flags & 0x78 || p->head[at + 3] & 0x40)
		return false;
	if (is_response != (p->side == FROM_SERVER) || label >= 64)
		return false;
	if (!is_response && (be32(p, at + 6) || p->head[at + 3] & 0x8f || be16(p, at + 10) > 2))
		return false;
	return label ? is_printable(p->head[at + 13]) : p->head[at + 13] == 0 && p->head[at + 15] == 0;
}

static __always_inline bool is_dns(const struct payload *p, bool is_tcp)
{
	if (is_tcp)
		return be16(p, 0) + 2U == p->bytes && is_dns_at(p, 2);
	return is_dns_at(p, 0);
}
