// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// Which key each counter of sas is, as user space keeps it: what counts is
// known to whoever finds the programs.
#pragma once

#include "sa.h"

enum sa_state {
	SA_FREE,    // never used
	SA_CURRENT, // the SA is there, or is about to be
	SA_ENDED,   // it is not, and nobody has said yet that its account is kept
	SA_SETTLED, // its account is kept elsewhere
};

struct sa_name {
	__u8 sci[8];
	__u8 key[16]; // key identifier: MI then KN, big-endian
	__u64 since;  // ns since 1970
	__u64 until;  // 0 while the SA is there
	// What else passed in the same direction, or did not: the counters at
	// since; from until on, by how much they grew between.
	struct counter clear;
	struct counter allowed;
	struct counter dropped;
	enum sa_state state;
	__u8 direction;
	__u8 an;
	__u8 pad[2];
};

// No program reads it: the loader binds it to them.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SAS);
	__type(key, __u32);
	__type(value, struct sa_name);
} names SEC(".maps");

struct sa_order {
	__be64 sci;
	__u32 an;
	__u32 counter;
};

// linkseal_sa is run by user space: it gives an AN its counter in place. An
// update by system call would put another struct sc in its place, whose memory
// the next update writes over while a program may still read it.
SEC("syscall")
int linkseal_sa(struct sa_order *o)
{
	__be64 sci = o->sci;
	__u32 an = o->an;
	__u64 *changes;
	struct sc *sc;

	sc = bpf_map_lookup_elem(&scs, &sci);
	if (sc)
		*(volatile __u32 *)&sc->counter[an & TCI_AN] = o->counter;
	// The CPUs' copies are of before: sc.h.
	changes = bpf_map_lookup_elem(&scs_changes, &the_change);
	if (changes)
		__sync_fetch_and_add(changes, 1);
	return sc != 0;
}
