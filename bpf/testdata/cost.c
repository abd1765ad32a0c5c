// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What the port's programs are measured against, and with.
#include "../sa.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// As many as random SCIs are taken from, and more.
#define KNOWN 16384

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KNOWN);
	__type(key, __be64);
	__type(value, __u32);
} ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KNOWN);
	__type(key, __u32);
	__type(value, struct counter);
} by_id SEC(".maps");

// reference is the least that counts by SCI: a hash gives the id of a counter.
SEC("xdp.frags")
int reference(struct xdp_md *ctx)
{
	const struct ethernet *eth = (const void *)(long)ctx->data;
	const struct sectag *t = (const void *)(eth + 1);
	const void *end = (const void *)(long)ctx->data_end;
	struct counter *c;
	__be64 sci;
	__u32 *id;

	if ((const void *)(t + 1) > end || eth->type != bpf_htons(ETH_P_MACSEC))
		return XDP_DROP;
	sci = t->sci;
	id = bpf_map_lookup_elem(&ids, &sci);
	if (!id)
		return XDP_DROP;
	c = bpf_map_lookup_elem(&by_id, id);
	if (!c)
		return XDP_DROP;
	c->packets++;
	c->octets += end - (const void *)eth;
	return XDP_PASS;
}

struct {
	__uint(type, 3); // BPF_MAP_TYPE_PROG_ARRAY
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} then SEC(".maps");

__u32 many = 1; // numbers to choose of, from 1 on
__u32 place;	// of the number in the frame, 16 bits, in octets from its begin
__u32 turn;	// of a linear congruential generator: one CPU at a time runs this

// scatter gives a frame another SCI, SPI or port, one of many, and goes on to the
// program in then.
SEC("xdp.frags")
int scatter(struct xdp_md *ctx)
{
	__be16 *number = (void *)(long)ctx->data + (place & 63);

	if ((const void *)(number + 1) > (const void *)(long)ctx->data_end)
		return XDP_DROP;
	turn = turn * 1664525 + 1013904223;
	*number = bpf_htons(1 + ((__u64)turn * many >> 32));
	bpf_tail_call(ctx, &then, 0);
	return XDP_DROP;
}
