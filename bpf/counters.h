// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What was passed and what was dropped, by direction. Every CPU counts for
// itself: no atomic operation is needed.
#pragma once

#include "kernel.h"

enum verdict {
	MACSEC,	   // passed: EtherType 0x88E5
	EAPOL,	   // passed: the configured EAPOL
	ALLOWED,   // passed: a protocol of the rules
	TAGGED,	   // dropped: a VLAN tag in clear, whatever is in it
	DROPPED,   // dropped: anything else
	VERDICTS,
};

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

COUNTERS(ingress);
COUNTERS(egress);

static __always_inline void count(void *counters, enum verdict v, __u64 packets, __u64 octets)
{
	struct counter *c = bpf_map_lookup_elem(counters, &v);

	if (c) {
		c->packets += packets;
		c->octets += octets;
	}
}
