// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// Frames with numbers: MACsec's PN, ESP's sequence number; of 64 bits they have
// the lower half. The first and the highest say how many are missing.
#pragma once

#include "counters.h"

struct numbered {
	__u64 packets;
	__u64 octets;
	__u64 seen; // jiffies64 of the last frame
	__u32 high; // the highest number that this CPU had
	__u32 has_high;
};

// The first number that any CPU had, by the same index: FIRST and the number; 0:
// there was none.
#define FIRST (1ULL << 32)

// Numbers go by less than half of their range in so many jiffies, 1 s to 10 s:
// one that is behind is late, or a duplicate. After more, one that looks to be
// behind may be ahead as well.
#define LONG 1000

// first_number is no static function, so that the verifier looks at it once.
__noinline int first_number(struct numbered *c, __u64 *first, __u32 number)
{
	if (!c || !first)
		return 0;
	__sync_val_compare_and_swap(first, 0, FIRST | number);
	c->high = number;
	c->has_high = 1;
	return 0;
}

// count_numbered counts a frame at index i of maps of struct numbered and of first
// numbers.
static __always_inline void count_numbered(void *map, void *firsts, const __u32 *i, const struct frame *f, int has_number, __u32 number)
{
	struct numbered *c = bpf_map_lookup_elem(map, i);
	__u64 now = bpf_jiffies64(), silence;

	if (!c)
		return;
	silence = now - c->seen;
	c->packets += f->frames;
	c->octets += f->size;
	c->seen = now;
	if (!has_number)
		return;
	if (!c->has_high)
		first_number(c, bpf_map_lookup_elem(firsts, i), number);
	else if ((__s32)(number - c->high) > 0 || silence > LONG)
		c->high = number;
}
