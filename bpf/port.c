// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The programs of a port, for each direction one: they judge each frame, count
// it, report what they drop, and hand MACsec to a SecY in user space.
#include "circuit.h"
#include "classify.h"
#include "eapol.h"
#include "event.h"
#include "names.h"
#include "measure.h"
#include "sa.h"
#include "sockets.h"

char _license[] SEC("license") = "Dual BSD/GPL";

COUNTERS(ingress);
COUNTERS(egress);

static __always_inline void *counters(enum direction d) { return d == INGRESS ? (void *)&ingress : (void *)&egress; }

// take is for MACsec.
static __always_inline void take(const struct frame *f, enum direction d)
{
	count(counters(d), MACSEC, f);
	if (count_sa(f, d))
		count_circuit(f, d);
	else
		count_rest(f, d);
}

// judge is for what is not MACsec.
static __always_inline int judge(struct frame *f, enum direction d, int whole)
{
	enum verdict v = must.enforce ? DROPPED : must.underlay ? PROTECTED : CLEAR; // of what is too short

	if (whole)
		v = classify(d, f);
	if (d == INGRESS && v == EAPOL && is_limited(f))
		v = EAPOL_LIMITED;
	forget(v, f->size); // or the rest is verified once for each
	count(counters(d), v, f);
	if (!passes(v))
		report(f, d, v);
	return passes(v);
}

static __always_inline int is_macsec(const struct frame *f, int whole) { return whole && f->type == bpf_htons(ETH_P_MACSEC); }

// length is that of all pieces. Nearly every frame has but one, and asking
// costs as much as all else that is done with one that is dropped.
static __always_inline __u64 length(struct xdp_md *ctx)
{
	if (bpf_cast_to_kern_ctx) {
		const struct xdp_buff *x = bpf_cast_to_kern_ctx(ctx);

		if (!(x->flags & XDP_FLAGS_HAS_FRAGS))
			return ctx->data_end - ctx->data;
	}
	return bpf_xdp_get_buff_len(ctx);
}

static __always_inline int dissect_xdp(struct frame *f, struct xdp_md *ctx)
{
	f->ctx = ctx;
	f->hook = XDP;
	f->size = length(ctx);
	f->frames = 1;
	return dissect(f, START(ctx), END(ctx));
}

// May a socket have the frame? Not in pieces: the kernel drops those without a
// word (net/core/filter.c, xdp_do_redirect) or, in later versions, where the
// socket did not ask for pieces. Nor with a tag, which no SecY knows.
static __always_inline int handy(const struct frame *f)
{
	return f->size <= MAX_SOCKET_FRAME && (const void *)f->eth + f->size <= f->end && f->tags == NO_TAG;
}

// "frags": frames longer than a page come in pieces and are passed too, so
// that the program does not limit the port's MTU. The header is always in the
// first piece.
SEC("xdp.frags")
int linkseal_in(struct xdp_md *ctx)
{
	struct frame f;
	int whole = dissect_xdp(&f, ctx);
	__u32 queue = ctx->rx_queue_index;

	if (!is_macsec(&f, whole))
		return judge(&f, INGRESS, whole) ? XDP_PASS : XDP_DROP;
	take(&f, INGRESS);
	// The kernel's SecY has no socket: to look is no call, to redirect is one.
	if (handy(&f) && bpf_map_lookup_elem(&xsks, &queue))
		return bpf_redirect_map(&xsks, queue, XDP_PASS);
	return XDP_PASS;
}

// The same for a kernel without AF_XDP, which refuses the map. It is loaded
// under the name of the other.
SEC("xdp.frags")
int linkseal_in_stack(struct xdp_md *ctx)
{
	struct frame f;
	int whole = dissect_xdp(&f, ctx);

	if (!is_macsec(&f, whole))
		return judge(&f, INGRESS, whole) ? XDP_PASS : XDP_DROP;
	take(&f, INGRESS);
	return XDP_PASS;
}

// How much of a frame is looked at: two tags, the SecTAG, a subtype.
#define LOOK (sizeof(struct ethernet) + 2 * sizeof(struct vlan) + sizeof(struct sectag))
// Where EAPOL is limited, an MKPDU as far as its CKN, which has no tag.
#define LOOK_IN (sizeof(struct ethernet) + sizeof(struct mkpdu) + MAX_CKN)
_Static_assert(LOOK_IN >= LOOK, "LOOK_IN");

// look has so much of a frame, or all of a shorter one, in its first piece.
static __always_inline void look(struct __sk_buff *skb, __u32 size)
{
	__u32 here = skb->data_end - skb->data;

	if (here < size && here < skb->len)
		bpf_skb_pull_data(skb, skb->len < size ? skb->len : size);
}

static __always_inline int judge_skb(struct __sk_buff *skb, enum direction d, __u32 size)
{
	struct frame f = {.ctx = skb, .hook = TC};
	int whole;

	look(skb, must.underlay ? LOOK_UNDERLAY : size);
	whole = dissect(&f, START(skb), END(skb));
	measure(&f, skb);
	if (skb->vlan_present)
		beside(&f, skb->vlan_proto == bpf_htons(ETH_P_8021Q), skb->vlan_tci & VID);
	if (!is_macsec(&f, whole))
		return judge(&f, d, whole) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
	take(&f, d);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int linkseal_out(struct __sk_buff *skb) { return judge_skb(skb, EGRESS, LOOK); }

// Where XDP cannot be had. The kernel has taken the first tag out of the frame
// by now, and shown it to packet sockets that are for all protocols.
SEC("tc")
int linkseal_in_tc(struct __sk_buff *skb) { return judge_skb(skb, INGRESS, LOOK_IN); }
