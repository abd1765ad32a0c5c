// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The programs of a secured interface, a port's MACsec device or tap, where
// frames are in clear: they count by circuit and by class, and tag what the
// classes say. They drop nothing.
#include "circuit.h"
#include "tags.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// Frames without a tag: the circuit that needs no looking for.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DIRECTIONS);
	__type(key, __u32);
	__type(value, struct circuit);
} untagged SEC(".maps");

// Twice the rules: a class that comes gets counters that no class has that
// goes, so that both are exact. 0 is of frames that no rule matches.
#define SLOTS 129

// By slot * DIRECTIONS + direction.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS * DIRECTIONS);
	__type(key, __u32);
	__type(value, struct circuit);
} classes SEC(".maps");

static __always_inline void count_at(void *map, __u32 i, const struct frame *f)
{
	struct circuit *c = bpf_map_lookup_elem(map, &i);

	if (c)
		add(c, f->frames, f->size);
}

// cut is what a super-packet becomes: frames, and the octets of all. One out of
// a tap does not say how many (gso_segs 0); the length of one that leaves has
// been counted by the kernel (net/core/dev.c, qdisc_pkt_len_init). Of what comes
// in, each segment has the headers again, of a tunnel inside the outer ones.
static __always_inline void cut(struct __sk_buff *skb, struct frame *f, const struct inner *n, enum direction d)
{
	__u32 head = n->head, each = skb->gso_size;

	f->frames = skb->gso_segs;
	if (!f->frames && f->size > head)
		f->frames = (f->size - head + each - 1) / each;
	if (!f->frames)
		f->frames = 1;
	f->size = d == EGRESS ? skb->wire_len : f->size + (f->frames - 1) * head;
}

// set_dscp rewrites the DSCP of the IP header that is so far into the frame. ECN
// stays; IPv4's checksum follows.
__noinline int set_dscp(struct __sk_buff *skb, __u32 at, __u32 six, __u32 dscp)
{
	__be16 old, new;
	__u16 word;

	if (bpf_skb_load_bytes(skb, at, &old, sizeof(old)))
		return 0;
	word = bpf_ntohs(old);
	word = six ? (word & ~0x0fc0) | dscp << 6 : (word & ~0x00fc) | dscp << 2;
	new = bpf_htons(word);
	if (new == old)
		return 0;
	if (!six && bpf_l3_csum_replace(skb, at + __builtin_offsetof(struct ipv4, checksum), old, new, sizeof(new)))
		return 0;
	bpf_skb_store_bytes(skb, at, &new, sizeof(new), six ? BPF_F_RECOMPUTE_CSUM : 0);
	return 0;
}

// tag does what the first rule that matches says, and returns its class.
static __always_inline __u32 tag(struct __sk_buff *skb, const struct frame *f, const struct inner *n, enum direction d)
{
	__u64 m = matching(f, n, d);
	const volatile struct action *a;
	__u32 slot;

	if (!m)
		return 0;
	a = &tables.action[lowest(m)];
	slot = a->slot;
	if (a->mask)
		skb->mark = (skb->mark & ~a->mask) | a->mark;
	if (a->sets_priority)
		skb->priority = a->priority;
	if (tables.sets_dscp && a->sets_dscp && n->ip)
		set_dscp(skb, f->payload - (const void *)f->eth, n->ip == 6, a->dscp);
	return slot;
}

// How much of a frame is looked at: two tags, IPv6 with extensions, TCP.
#define LOOK (sizeof(struct ethernet) + 2 * sizeof(struct vlan) + sizeof(struct ipv6) + 40)

static __always_inline int pass(struct __sk_buff *skb, enum direction d)
{
	struct frame f = {.size = skb->len, .frames = 1};
	__u32 want = skb->len < LOOK ? skb->len : LOOK, slot = 0;
	struct inner n = {.dscp = NO_DSCP, .protocol = NO_PROTOCOL};

	// Not for what is short and whole: it would be copied where TCP still
	// holds it.
	if ((const void *)(long)skb->data + want > (const void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, want);
	if (!dissect(&f, (const void *)(long)skb->data, (const void *)(long)skb->data_end))
		return TC_ACT_UNSPEC;
	if (tables.rules || skb->gso_size)
		look_inside(skb, &f, d, &n);
	if (skb->gso_size)
		cut(skb, &f, &n, d);
	if (skb->vlan_present) {
		beside(&f, skb->vlan_proto == bpf_htons(ETH_P_8021Q), skb->vlan_tci & VID);
		f.size += f.frames * sizeof(struct vlan);
	}
	if (f.tags == NO_TAG)
		count_at(&untagged, d, &f);
	else
		count_circuit(&f, d);
	if (tables.rules)
		slot = tag(skb, &f, &n, d);
	count_at(&classes, slot * DIRECTIONS + d, &f);
	return TC_ACT_UNSPEC;
}

// Out of the SecY.
SEC("tc")
int linkseal_rx(struct __sk_buff *skb) { return pass(skb, INGRESS); }

// Into the SecY.
SEC("tc")
int linkseal_tx(struct __sk_buff *skb) { return pass(skb, EGRESS); }
