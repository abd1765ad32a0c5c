// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// Frames by circuit: by the VLAN tags that they have in clear.
#pragma once

#include "counters.h"

#define MAX_CIRCUITS 4096

struct circuit_key {
	__u32 tags; // as struct frame has them
	__u32 direction;
};

struct circuit {
	struct counter counter;
	__u64 seen; // jiffies64
};

// The first frame of a circuit makes its entry. When there is no room, counts
// go to the circuit NO_TAG, which the loader has made.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_CIRCUITS);
	__type(key, struct circuit_key);
	__type(value, struct circuit);
} circuits SEC(".maps");

static __noinline int new_circuit(__u32 tags, __u32 direction, __u64 frames, __u64 octets)
{
	struct circuit_key k = {tags, direction};
	struct circuit none = {}, *c;

	bpf_map_update_elem(&circuits, &k, &none, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&circuits, &k);
	if (!c) {
		k.tags = NO_TAG;
		c = bpf_map_lookup_elem(&circuits, &k);
	}
	if (!c)
		return 0;
	c->counter.packets += frames;
	c->counter.octets += octets;
	c->seen = bpf_jiffies64();
	return 0;
}

static __always_inline void count_circuit(const struct frame *f, enum direction d)
{
	struct circuit_key k = {f->tags, d};
	struct circuit *c;

	if (f->tags == NO_TAG)
		return;
	c = bpf_map_lookup_elem(&circuits, &k);
	if (!c) {
		new_circuit(f->tags, d, f->frames, f->size);
		return;
	}
	c->counter.packets += f->frames;
	c->counter.octets += f->size;
	c->seen = bpf_jiffies64();
}
