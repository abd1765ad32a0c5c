// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The SCs that a CPU has seen last, found without a call. Each CPU has a copy of
// its own of what scs says, good for as long as nothing there has changed.
#pragma once

#include "kernel.h"

// The SAs of an SC: which counter each AN has. 0 is that of nobody's. Frames
// with the SCI that go the other way are nobody's too: whoever sends them to us
// does not add to what we sent.
struct sc {
	__u32 counter[4];
	__u32 direction;
};

#define MAX_SCS 1024

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SCS);
	__type(key, __be64);
	__type(value, struct sc);
} scs SEC(".maps");

// How often an SC that is in scs was changed or deleted: whoever does it adds
// one afterwards. A new SC is no change.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} scs_changes SEC(".maps");

#define NEAR_SC_BITS 10

struct near_sc {
	__be64 sci;   // 0: none. That SCI is nobody's
	__u64 change; // of scs_changes, when it was copied
	__u64 copies;
	struct sc sc;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << NEAR_SC_BITS);
	__type(key, __u32);
	__type(value, struct near_sc);
} near_scs SEC(".maps");

static const __u32 the_change = 0;

// learn copies the SC into its place, and is false if there is no such SC: an
// SCI that anybody may invent takes no place away. It is no static function, so
// that the verifier looks at it once.
__noinline int learn(struct near_sc *n, __be64 sci, const __u64 *changes)
{
	const struct sc *sc;
	__u64 change;

	if (!n || !changes)
		return 0;
	// First the change, then what it is of, on all processors: an atomic
	// operation that returns a value is a full barrier.
	change = *(const volatile __u64 *)changes;
	__sync_fetch_and_add(&n->copies, 1);
	sc = bpf_map_lookup_elem(&scs, &sci);
	if (!sc)
		return 0;
	n->sc = *sc;
	n->change = change;
	n->sci = sci;
	return 1;
}

static __always_inline const struct sc *find_sc(__be64 sci)
{
	// Addresses differ in any of the octets, of one address the port number.
	__u32 place = (sci ^ sci >> 32) * 0x9e3779b97f4a7c15ULL >> (64 - NEAR_SC_BITS);
	const __u64 *changes = bpf_map_lookup_elem(&scs_changes, &the_change);
	struct near_sc *n = bpf_map_lookup_elem(&near_scs, &place);

	if (!n || !changes)
		return 0;
	if (n->sci == sci && n->change == *changes)
		return &n->sc;
	return learn(n, sci, changes) ? &n->sc : 0;
}
