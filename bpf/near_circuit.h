// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The circuits of a port, found without a call: most have a place that their
// tags alone say, and which each CPU takes for itself, with the tags in it. The
// circuit whose place is another's on this CPU is in the hash, circuits. So that
// what a circuit has is the sum over both and over all CPUs, by tags.
#pragma once

#include "circuit.h"

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

static __always_inline void count_nearby(const struct frame *f, enum direction d)
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
	if (!n || n->circuit != circuit) {
		count_circuit(f, d);
		return;
	}
	n->count.counter.packets += f->frames;
	n->count.counter.octets += f->size;
	n->count.seen = bpf_jiffies64();
}
