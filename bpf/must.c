// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The filter of a port with `secure: must`, for each direction a program.
#include "classify.h"
#include "sockets.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// "frags": frames longer than a page come in pieces and are passed too, so
// that the program does not limit the port's MTU. The header is always in the
// first piece.
static __always_inline enum verdict judge(struct xdp_md *ctx, __u64 size)
{
	const void *frame = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	enum verdict v = classify(INGRESS, frame, end);

	count(&ingress, v, 1, size);
	return v;
}

// May a socket have the frame? Not in pieces: the kernel drops those without a
// word (net/core/filter.c, xdp_do_redirect) or, in later versions, where the
// socket did not ask for pieces.
static __always_inline int handy(struct xdp_md *ctx, __u64 size)
{
	return size <= MAX_SOCKET_FRAME && (const void *)(long)ctx->data + size <= (const void *)(long)ctx->data_end;
}

SEC("xdp.frags")
int linkseal_in(struct xdp_md *ctx)
{
	__u64 size = bpf_xdp_get_buff_len(ctx);
	enum verdict v = judge(ctx, size);

	if (v == MACSEC && handy(ctx, size))
		return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
	return passes(v) ? XDP_PASS : XDP_DROP;
}

// The same for a kernel without AF_XDP, which refuses the map. It is loaded
// under the name of the other.
SEC("xdp.frags")
int linkseal_in_stack(struct xdp_md *ctx)
{
	return passes(judge(ctx, bpf_xdp_get_buff_len(ctx))) ? XDP_PASS : XDP_DROP;
}

// How much of a frame classify looks at: the header and a subtype.
#define LOOK (sizeof(struct ethernet) + 1)

SEC("tc")
int linkseal_out(struct __sk_buff *skb)
{
	__u32 segments = skb->gso_segs;
	enum verdict v;

	// A NIC that inserts tags gets them beside the frame, not in it.
	if (skb->vlan_present) {
		v = TAGGED;
	} else {
		if (skb->data + LOOK > skb->data_end)
			bpf_skb_pull_data(skb, LOOK); // fails on a shorter frame, which is classified as it is
		v = classify(EGRESS, (const void *)(long)skb->data, (const void *)(long)skb->data_end);
	}
	count(&egress, v, segments ? segments : 1, skb->len);
	return passes(v) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}
