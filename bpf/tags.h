// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// Rules that put frames into classes. There are up to 64: for each field of a
// frame a table says which rules its value satisfies, as a vector of bits; the
// vectors ANDed, the lowest bit is the first rule that matches. What is asked
// of no rule costs nothing.
#pragma once

#include "inner.h"
#include "verdict.h"

// "lseal", "t" and the version of the layout of what follows.
#define TAGS_MAGIC 0x6c7365616c740001ULL

#define MAX_TAG_RULES 64
#define GROUPS 128 // more than the values that 64 rules name, and a power of 2, for the verifier

// A rule as it was written. No program reads it; whoever finds the programs
// attached does.
struct tag_rule {
	__u8 name[64];
	__u8 prefix[16]; // IPv6, or IPv4 in the first four
	__u8 prefix_bits;
	__u8 prefix_family; // 4, 6; 0: any
	__u8 direction;	    // bit for each
	__u8 slot;	    // its class's counters
	__u16 stag;	    // 0: any
	__u16 ctag;
	__s16 dscp; // -1: any
	__s16 protocol;
	__u16 port; // 0: any
	__s16 set_dscp;
	__u32 mark;
	__u32 mask; // 0: the mark stays
	__s64 set_priority;
};

struct tag_rules {
	__u64 magic;
	__u32 count;
	__u32 pad;
	struct tag_rule rule[MAX_TAG_RULES];
};

const volatile struct tag_rules written SEC(".rodata.written") = {.magic = TAGS_MAGIC};

// What the first rule that matches does.
struct action {
	__u32 mark;
	__u32 mask;
	__u32 priority;
	__u8 sets_priority;
	__u8 sets_dscp;
	__u8 dscp;
	__u8 slot;
};

struct tables {
	__u32 rules; // 0: nothing of the rest counts
	__u32 asks_stag, asks_ctag, asks_dscp, asks_protocol, asks_port, asks_prefix;
	__u32 sets_dscp; // any action
	__u64 direction[DIRECTIONS];
	__u64 dscp[128]; // NO_DSCP's too
	__u64 protocol[256];
	__u64 stag[GROUPS], ctag[GROUPS], port[GROUPS]; // by group; group 0 is of what no rule names
	__u64 no_prefix;				  // of an address that is in no prefix
	__u8 stag_group[4096], ctag_group[4096];
	__u8 port_group[65536]; // by the number as on the wire: of one that was turned 6.1 knows no bounds
	struct action action[MAX_TAG_RULES];
};

const volatile struct tables tables SEC(".rodata.tables") = {};

struct prefix4 {
	__u32 bits;
	__u8 address[4];
};

struct prefix6 {
	__u32 bits;
	__u8 address[16];
};

// Which rules an address satisfies, by the longest prefix that it is in.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_TAG_RULES);
	__type(key, struct prefix4);
	__type(value, __u64);
} prefixes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_TAG_RULES);
	__type(key, struct prefix6);
	__type(value, __u64);
} prefixes6 SEC(".maps");

static __always_inline __u64 by_prefix(const struct inner *n)
{
	const __u64 *found = 0;

	if (!n->ip)
		return tables.no_prefix;
	if (n->ip == 6) {
		struct prefix6 k = {.bits = 128};

		__builtin_memcpy(k.address, n->far, sizeof(k.address));
		found = bpf_map_lookup_elem(&prefixes6, &k);
	} else {
		struct prefix4 k = {.bits = 32};

		__builtin_memcpy(k.address, n->far, sizeof(k.address));
		found = bpf_map_lookup_elem(&prefixes4, &k);
	}
	return found ? *found : tables.no_prefix;
}

static __always_inline __u64 by_port(const struct inner *n)
{
	if (!n->has_ports)
		return tables.port[0];
	return tables.port[tables.port_group[n->source] % GROUPS] |
	       tables.port[tables.port_group[n->destination] % GROUPS];
}

// matching are the rules that match.
static __always_inline __u64 matching(const struct frame *f, const struct inner *n, enum direction d)
{
	__u32 tags = f->tags == NO_TAG ? 0 : f->tags;
	__u64 m = tables.direction[d];

	if (tables.asks_stag)
		m &= tables.stag[tables.stag_group[tags >> 16 & VID] % GROUPS];
	if (tables.asks_ctag)
		m &= tables.ctag[tables.ctag_group[tags & VID] % GROUPS];
	if (tables.asks_dscp)
		m &= tables.dscp[n->dscp & 127];
	if (tables.asks_protocol)
		m &= tables.protocol[n->protocol & 255];
	if (tables.asks_port)
		m &= by_port(n);
	if (tables.asks_prefix && m)
		m &= by_prefix(n);
	return m;
}

// lowest is the place of the lowest bit of v, which is not 0. There is no
// instruction for it: the compiler looks it up in a table, of whose values the
// verifier does not know that they are less than 64, and the compiler does.
static __always_inline __u32 lowest(__u64 v)
{
	__u32 n = __builtin_ctzll(v);

	asm volatile("" : "+r"(n));
	return n % MAX_TAG_RULES;
}
