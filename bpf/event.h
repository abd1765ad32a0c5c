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

static const __u32 the_alarm = 0;

// last_shown is the last octet of the frame that an event shows; -1 of an empty one.
static __always_inline __u64 last_shown(const void *start, const void *end)
{
	return (end - start < EVENT_HEAD ? end - start : EVENT_HEAD) - 1;
}

// once_more has 6.1 see the sum made of a number that it has seen compared.
#define once_more(n) asm volatile("" : "+r"(n))

// raise is for a context of that hook, and its frame. why is direction * REASONS +
// verdict.
static __always_inline int raise(void *ctx, enum hook hook, const void *start, const void *end, __u32 why, __u32 size)
{
	__u64 last = last_shown(start, end);
	struct alarm *a = bpf_map_lookup_elem(&alarms, &the_alarm);
	struct event *e;

	why &= ALARMS - 1;
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
	e->has = last + 1;
	e->pad = 0;
	once_more(last);
	if (last < EVENT_HEAD && hook == XDP)
		bpf_xdp_load_bytes(ctx, 0, e->head, last + 1);
	else if (last < EVENT_HEAD)
		bpf_skb_load_bytes(ctx, 0, e->head, last + 1);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

__noinline int raise_xdp(struct xdp_md *ctx, __u32 why, __u32 size) { return raise(ctx, XDP, START(ctx), END(ctx), why, size); }
__noinline int raise_tc(struct __sk_buff *ctx, __u32 why, __u32 size) { return raise(ctx, TC, START(ctx), END(ctx), why, size); }

static __always_inline void report(const struct frame *f, enum direction d, enum verdict v)
{
	struct alarm *a = bpf_map_lookup_elem(&alarms, &the_alarm);
	__u32 why = (d * REASONS + v) & (ALARMS - 1);

	if (!a || !a->armed[why])
		return;
	if (f->hook == XDP)
		raise_xdp(f->ctx, why, f->size);
	else
		raise_tc(f->ctx, why, f->size);
}
