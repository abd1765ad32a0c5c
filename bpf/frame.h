// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// A frame, taken apart as far as the SecTAG or the first header behind the VLAN
// tags. Nothing is read beyond its end.
#pragma once

#include "kernel.h"

// The tag of a frame that has none.
#define NO_TAG 0xffffffff

struct frame {
	const struct ethernet *eth;
	const void *payload; // behind the EtherType that type has
	const void *end;
	__u64 size;   // octets, of all its pieces, without FCS
	__u64 frames; // on the wire: more than 1 for one that is yet to be segmented
	__u32 tags;   // S-tag's VID << 16 | C-tag's; of one tag the other is 0; or NO_TAG
	__be16 type;  // behind the tags
	__u16 taken;  // how many tags were taken off
};

struct vlan {
	__be16 tci;
	__be16 type;
};

static __always_inline int is_tag(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD) || type == bpf_htons(ETH_P_QINQ1);
}

#define VID 0x0fff

// untag goes behind up to two tags. One tag is the S-tag if it says so (802.1ad).
static __always_inline void untag(struct frame *f)
{
	const struct vlan *v = f->payload;
	int customer = f->type == bpf_htons(ETH_P_8021Q);
	__u32 vid;

	if (!is_tag(f->type) || (const void *)(v + 1) > f->end)
		return;
	vid = bpf_ntohs(v->tci) & VID;
	f->type = v->type;
	f->payload = ++v;
	f->taken = 1;
	if (!is_tag(f->type) || (const void *)(v + 1) > f->end) {
		f->tags = customer ? vid : vid << 16;
		return;
	}
	f->tags = vid << 16 | (bpf_ntohs(v->tci) & VID);
	f->type = v->type;
	f->payload = v + 1;
	f->taken = 2;
}

// dissect is false for what is shorter than an Ethernet header.
static __always_inline int dissect(struct frame *f, const void *data, const void *end)
{
	f->eth = data;
	f->end = end;
	f->tags = NO_TAG;
	f->taken = 0;
	f->payload = f->eth + 1; // into the frame on all paths, which the compiler may join
	if (f->payload > end)
		return 0;
	f->type = f->eth->type;
	untag(f);
	return 1;
}

// beside adds the tag that is not in the frame, and comes before those that are:
// a NIC is to insert it, or the kernel has taken it out.
static __always_inline void beside(struct frame *f, int customer, __u32 vid)
{
	if (f->taken == 0) {
		f->tags = customer ? vid : vid << 16;
	} else if (f->taken == 1) {
		f->tags = vid << 16 | ((f->tags | f->tags >> 16) & VID);
	} else { // one more than are looked behind
		f->tags = vid << 16 | f->tags >> 16;
		f->type = bpf_htons(ETH_P_8021Q);
	}
}
