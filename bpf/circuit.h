// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// Frames by circuit: by the VLAN tags that they have in clear. Most circuits are
// found without a call: they have a place that their tags alone say, and which
// each CPU takes for itself, with the tags in it. The circuit whose place is
// another's on this CPU is in a hash. So that what a circuit has is the sum over
// both and over all CPUs, by tags.
#pragma once

#include "counters.h"

struct circuit {
	struct counter counter;
	__u64 seen; // jiffies64
};

#define NEAR_CIRCUIT_BITS 10 // of places for each direction

struct near_circuit {
	__u64 circuit; // its tags + 1; 0: the place is free
	struct circuit count;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DIRECTIONS << NEAR_CIRCUIT_BITS);
	__type(key, __u32);
	__type(value, struct near_circuit);
} near_circuits SEC(".maps");

struct circuit_key {
	__u32 tags; // as struct frame has them
	__u32 direction;
};

#define MAX_CIRCUITS 4096

// The first frame of a circuit makes its entry. When there is no room, counts
// go to the circuit NO_TAG, which the loader has made: the rest.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_CIRCUITS);
	__type(key, struct circuit_key);
	__type(value, struct circuit);
} circuits SEC(".maps");

static __always_inline void add(struct circuit *c, __u64 frames, __u64 octets)
{
	c->counter.packets += frames;
	c->counter.octets += octets;
	c->seen = bpf_jiffies64();
}

// count_crowded is no static function, so that the verifier looks at it once.
__noinline int count_crowded(__u32 tags, __u32 direction, __u64 frames, __u64 octets)
{
	struct circuit_key k = {tags, direction};
	struct circuit none = {}, *c = bpf_map_lookup_elem(&circuits, &k);

	if (!c) {
		bpf_map_update_elem(&circuits, &k, &none, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&circuits, &k);
	}
	if (!c) {
		k.tags = NO_TAG;
		c = bpf_map_lookup_elem(&circuits, &k);
	}
	if (c)
		add(c, frames, octets);
	return 0;
}

// count_rest is for a tagged frame that is to make no circuit: anybody may send it.
static __always_inline void count_rest(const struct frame *f, enum direction d)
{
	struct circuit_key k = {NO_TAG, d};
	struct circuit *c;

	if (f->tags == NO_TAG)
		return;
	c = bpf_map_lookup_elem(&circuits, &k);
	if (c)
		add(c, f->frames, f->size);
}

static __always_inline void count_circuit(const struct frame *f, enum direction d)
{
	// Fibonacci hashing: neighbours in either tag are far apart.
	__u32 place = (d << NEAR_CIRCUIT_BITS) + (f->tags * 0x9e3779b1u >> (32 - NEAR_CIRCUIT_BITS));
	__u64 circuit = (__u64)f->tags + 1;
	struct near_circuit *n;

	if (f->tags == NO_TAG)
		return;
	n = bpf_map_lookup_elem(&near_circuits, &place);
	if (n && !n->circuit)
		n->circuit = circuit;
	if (n && n->circuit == circuit)
		add(&n->count, f->frames, f->size);
	else
		count_crowded(f->tags, d, f->frames, f->size);
}
