/* SPDX-License-Identifier: GPL-2.0 */
/* The first bytes that one side of a connection sends, and how identifiers look at them. */
#pragma once

#include <linux/types.h>

#include "../abi.h"

#define HEAD_BYTES 64

enum side { FROM_CLIENT, FROM_SERVER };

struct payload {
	__u8 head[HEAD_BYTES] __attribute__((aligned(8)));	/* zero from `bytes` on */
	__u32 bytes;						/* of the whole segment */
	__u32 side;						/* enum side */
};

static __always_inline __u16 be16(const struct payload *p, int at)
{
	return p->head[at] << 8 | p->head[at + 1];
}

static __always_inline __u32 be32(const struct payload *p, int at)
{
	return (__u32)be16(p, at) << 16 | be16(p, at + 2);
}

static __always_inline __u32 le32(const struct payload *p, int at)
{
	return p->head[at] | p->head[at + 1] << 8 | p->head[at + 2] << 16 | (__u32)p->head[at + 3] << 24;
}

/* Compares with a literal; unrolled and cut short at the first other byte. */
#define has(p, at, literal) ({							\
	bool same = true;							\
	_Pragma("unroll")							\
	for (int i = 0; i < (int)sizeof(literal) - 1; i++)			\
		same = same && (p)->head[(at) + i] == (__u8)(literal)[i];	\
	same; })

static __always_inline bool is_digit(__u8 byte)
{
	return byte - '0' < 10U;
}

static __always_inline bool is_printable(__u8 byte)
{
	return byte - ' ' < 95U;
}
