// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What was passed and what was dropped, by direction and verdict. Every CPU
// counts for itself: no atomic operation is needed.
#pragma once

#include "frame.h"
#include "verdict.h"

struct counter {
	__u64 packets;
	__u64 octets; // of the frames, without FCS
};

#define COUNTERS(name)                                \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, VERDICTS);        \
		__type(key, enum verdict);            \
		__type(value, struct counter);        \
	} name SEC(".maps")

static __always_inline void count(void *counters, enum verdict v, const struct frame *f)
{
	struct counter *c = bpf_map_lookup_elem(counters, &v);

	if (c) {
		c->packets += f->frames;
		c->octets += f->size;
	}
}
