// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// Frames by SA. ANs are used again: user space gives each key a counter of its
// own, and says which one an AN has, before it installs the key.
#pragma once

#include "numbered.h"
#include "sc.h"
#include "verdict.h"

// struct sectag is what is behind EtherType 0x88E5 (802.1AE 9.3).
struct sectag {
	__u8 tci_an;
	__u8 sl;
	__be32 pn;  // XPN: the lower half
	__be64 sci; // if tci_an has TCI_SC
} __attribute__((packed, aligned(2)));

enum tci {
	TCI_AN = 0x03,
	TCI_SC = 0x20,
};

#define SECTAG_WITHOUT_SCI 6

#define MAX_SAS (4 * MAX_SCS)

// 0 counts frames whose SA nobody has named.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SAS);
	__type(key, __u32);
	__type(value, struct numbered);
} sas SEC(".maps");

// User space adds to it what it sends itself.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_SAS);
	__type(key, __u32);
	__type(value, __u64);
} sa_firsts SEC(".maps");

// of_end_station is the SCI of a frame without one in its SecTAG: its address
// and port 1 (802.1AE 9.5, ES).
static __always_inline __be64 of_end_station(const struct ethernet *eth)
{
	const __u16 *a = (const void *)eth->source;

	return (__u64)a[0] | (__u64)a[1] << 16 | (__u64)a[2] << 32 | (__u64)bpf_htons(1) << 48;
}

// count_sa gives the frame's counter. One that is cut within its SecTAG is
// nobody's.
static __always_inline __u32 count_sa(const struct frame *f, enum direction d)
{
	const struct sectag *t = f->payload;
	const struct sc *sc = 0;
	__u32 i = 0, an = 0, pn = 0, whole = 0;
	__be64 sci = 0;

	if ((const void *)t + SECTAG_WITHOUT_SCI <= f->end) {
		an = t->tci_an & TCI_AN;
		pn = bpf_ntohl(t->pn);
		if (!(t->tci_an & TCI_SC)) {
			sci = of_end_station(f->eth);
			whole = 1;
		} else if ((const void *)(t + 1) <= f->end) {
			sci = t->sci;
			whole = 1;
		}
	}
	if (whole)
		sc = find_sc(sci);
	if (sc && sc->direction == d)
		i = sc->counter[an];
	count_numbered(&sas, &sa_firsts, &i, f, whole, pn);
	return i;
}
