// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// A frame, taken apart as far as the SecTAG or the first header behind the VLAN
// tags. Nothing is read beyond its end.
#pragma once

#include "kernel.h"

// The tag of a frame that has none.
#define NO_TAG 0xffffffff

// The kind of a program, and of its context.
enum hook { XDP, TC };

struct frame {
	void *ctx; // the program's
	enum hook hook;
	const struct ethernet *eth;
	const void *payload; // behind the EtherType that type has
	__u32 first;	     // its place, in octets from eth
	const void *end;
	__u64 size;   // octets, of all its pieces, without FCS
	__u64 frames; // on the wire: more than 1 for one that is yet to be segmented
	__u32 tags;   // S-tag's VID << 16 | C-tag's; of one tag the other is 0; or NO_TAG
	__be16 type;  // behind the tags
	__u16 taken;  // how many tags were taken off
};

// What is seldom done, or has many ways through it, is no static function: the
// verifier looks at it once, and not once for each way that leads there. It is
// given the context and numbers, no pointers into the frame, so that there is one
// for each hook.
#define START(ctx) ((const void *)(long)(ctx)->data)
#define END(ctx) ((const void *)(long)(ctx)->data_end)

// spot is so many octets, less than 512, behind the begin of a frame. The verifier
// is to know no more of it.
static __always_inline const void *spot(const void *start, __u64 octets)
{
	asm volatile("%0 &= 511" : "+r"(octets));
	return start + octets;
}

// forget has the verifier know nothing of a number, so that it goes once, and not
// once for each number, through what follows. unknown may be any that it does not
// know.
#define forget(n, unknown) asm volatile("%0 ^= %1; %0 ^= %1" : "+r"(n) : "r"((__u64)(unknown)))

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
	__u32 vid, tags = NO_TAG;
	__u64 type = f->type, size = f->end - (const void *)f->eth;

	if (!is_tag(f->type))
		return;
	if ((const void *)(v + 1) <= f->end) {
		vid = bpf_ntohs(v->tci) & VID;
		tags = customer ? vid : vid << 16;
		type = v->type;
		v++;
		f->taken = 1;
		if (is_tag(type) && (const void *)(v + 1) <= f->end) {
			tags = vid << 16 | (bpf_ntohs(v->tci) & VID);
			type = v->type;
			v++;
			f->taken = 2;
		}
	}
	forget(tags, size);
	forget(type, size);
	f->tags = tags;
	f->type = type;
	f->first = (const void *)v - (const void *)f->eth;
	asm volatile("%0 &= 31" : "+r"(f->first));
	f->payload = (const void *)f->eth + f->first;
}

// start and end are the frame's anew. Of pointers that are kept the verifier knows
// how much was seen to be there, which differs by the way.
static __always_inline const void *start(const struct frame *f)
{
	return f->hook == XDP ? START((struct xdp_md *)f->ctx) : START((struct __sk_buff *)f->ctx);
}

static __always_inline const void *end(const struct frame *f)
{
	return f->hook == XDP ? END((struct xdp_md *)f->ctx) : END((struct __sk_buff *)f->ctx);
}

// dissect is false for what is shorter than an Ethernet header.
static __always_inline int dissect(struct frame *f, const void *data, const void *end)
{
	f->eth = data;
	f->end = end;
	f->tags = NO_TAG;
	f->taken = 0;
	f->first = sizeof(*f->eth);
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
	forget(f->tags, f->end - (const void *)f->eth);
}
