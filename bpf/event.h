// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The first frame that is dropped for a reason raises an event; the next one
// after user space has armed it again. Nothing here takes the time.
#pragma once

#include "counters.h"

// How much of the frame an event shows: two tags, IPv6 and ports.
#define EVENT_HEAD 80

struct event {
	__u64 time; // CLOCK_MONOTONIC, ns
	__u32 size; // octets of the frame, without FCS
	__u8 direction;
	__u8 verdict;
	__u8 has; // octets of head
	__u8 pad;
	__u8 head[EVENT_HEAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
	__type(value, struct event); // for the loader
} events SEC(".maps");

#define REASONS 16
#define ALARMS (2 * REASONS) // a power of 2, for the verifier
_Static_assert(VERDICTS <= REASONS, "alarms");

struct alarm {
	__u32 armed[ALARMS]; // by direction * REASONS + verdict; user space sets, the programs clear
	__u64 lost;	     // events that the ring had no room for
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct alarm);
} alarms SEC(".maps");

// raise takes the direction and the verdict in one: there are five arguments.
static __noinline int raise(struct alarm *a, __u32 why, const void *data, const void *end, __u32 size)
{
	why &= ALARMS - 1;
	struct event *e;
	const __u8 *from = data;
	__u32 i;

	if (!a || !__sync_lock_test_and_set(&a->armed[why], 0))
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&a->lost, 1);
		return 0;
	}
	e->time = bpf_ktime_get_ns();
	e->size = size;
	e->direction = why / REASONS;
	e->verdict = why % REASONS;
	e->pad = 0;
	for (i = 0; i < EVENT_HEAD && (const void *)(from + i + 1) <= end; i++)
		e->head[i] = from[i];
	e->has = i;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static const __u32 the_alarm = 0;

static __always_inline void report(const struct frame *f, enum direction d, enum verdict v)
{
	struct alarm *a = bpf_map_lookup_elem(&alarms, &the_alarm);

	__u32 why = d * REASONS + v;

	if (a && a->armed[why])
		raise(a, why, f->eth, f->end, f->size);
}
