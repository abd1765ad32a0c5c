// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// EAPOL by who sends it. The ICV is for user space to check; here it is told
// by what an MKPDU has in clear (802.1X-2020 11.11.1): under a CKN of ours,
// from a peer that user space has named, it always passes. Anything else has a
// budget, so that a flood does not reach MKA, and does not take the place of
// what does.
#pragma once

#include "frame.h"

#define EAPOL_MKA 5
#define MAX_CKN 32
#define MAX_CKNS 64
#define MAX_PEERS 2048

// An MKPDU as far as its CKN, from the EAPOL header on.
struct mkpdu {
	__u8 eapol_version;
	__u8 type;
	__be16 length;
	__u8 version;
	__u8 priority;
	__be16 basic; // 4 bits of flags, 12 of the octets of the body behind this
	__be64 sci;
	__u8 mi[12];
	__be32 mn;
	__be32 agility;
	__u8 ckn[];
} __attribute__((packed));
#define BASIC_WITHOUT_CKN 28
_Static_assert(sizeof(struct mkpdu) == 8 + BASIC_WITHOUT_CKN, "struct mkpdu");

struct ckn {
	__u8 octets[MAX_CKN]; // 0 behind its end
	__u32 size;
};

// The CKNs of the port's participants, each with a number from 1 on.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CKNS);
	__type(key, struct ckn);
	__type(value, __u32);
} eapol_ckns SEC(".maps");

// A peer by CKN, source address and MI. With number and MI 0 it stands for the
// address, under any CKN of ours and any MI: a peer has one more participant
// when keys rotate, and another MI when it restarts.
struct eapol_peer {
	__u8 mac[6];
	__u8 ckn; // its number
	__u8 pad;
	__u8 mi[12];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct eapol_peer);
	__type(value, __u8);
} eapol_peers SEC(".maps");

// A budget is a token bucket: `next` is when the next frame would be due if all
// came at the rate. Only a frame that passes writes it, so that a flood costs
// no atomic operation.
struct budget {
	__u64 next; // CLOCK_MONOTONIC_COARSE, ns
	__u32 limits; // of STRANGERS: not 0 once user space has named who is known
	__u32 pad;
};

// Which budgets there are: one for what is no MKPDU or under no CKN of ours;
// under these, BUCKETS for new addresses, and BUCKETS for known addresses with a
// new MI. Which of them an MKPDU has, its address and MI say. Whoever floods
// with one of them has one budget; whoever invents them, up to the rate of all,
// leaves room in each, and that of a genuine peer cannot be told before its first
// hello has come, since its MI is random.
#define BUCKET_BITS 8
#define BUCKETS (1 << BUCKET_BITS)
enum { STRANGERS, NEW_ADDRESS, NEW_MI = NEW_ADDRESS + BUCKETS, BUDGETS = NEW_MI + BUCKETS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUDGETS);
	__type(key, __u32);
	__type(value, struct budget);
} eapol_budgets SEC(".maps");

// A second, all of each kind: together less than MKA takes without harm.
#define SECOND 1000000000ULL
#define STRANGERS_EVERY (SECOND / 10)
#define MEMBERS_EVERY (SECOND * BUCKETS / 4000)
#define BURST 20

// spend is false when the budget is spent. All CPUs share it.
static __always_inline int spend(struct budget *b, __u64 every)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	for (int i = 0; i < 4; i++) {
		__u64 old = *(volatile __u64 *)&b->next, next = old;

		if (next < now)
			next = now;
		if (next - now > (BURST - 1) * every)
			return 0;
		if (__sync_val_compare_and_swap(&b->next, old, next + every) == old)
			return 1;
	}
	return 0;
}

// number_of is the number of the MKPDU's CKN, 0 if it is none of ours.
static __always_inline __u32 number_of(const struct mkpdu *m, const void *end)
{
	__u32 size = (bpf_ntohs(m->basic) & 0x0fff) - BASIC_WITHOUT_CKN;
	struct ckn k = {.size = size};
	const __u32 *number;

	if (size == 0 || size > MAX_CKN)
		return 0;
	for (__u32 i = 0; i < MAX_CKN; i++) {
		if (i >= size)
			break;
		if ((const void *)(m->ckn + i + 1) > end)
			return 0;
		k.octets[i] = m->ckn[i];
	}
	number = bpf_map_lookup_elem(&eapol_ckns, &k);
	return number ? *number & (MAX_CKNS - 1) : 0;
}

static __always_inline int known(const struct eapol_peer *p) { return bpf_map_lookup_elem(&eapol_peers, p) != 0; }

// bucket is one of BUCKETS, by address and MI.
static __always_inline __u32 bucket(const struct eapol_peer *p)
{
	const __u32 *w = (const void *)p;
	__u64 h = 0;

	for (__u32 i = 0; i < sizeof(*p) / sizeof(*w); i++)
		h = (h ^ w[i]) * 0x9e3779b97f4a7c15ULL, h ^= h >> 32;
	return h & (BUCKETS - 1);
}

// limited tells whether an EAPOL frame is over the budget of who sends it. first
// is the octet of it that is behind the EtherType.
static __always_inline int limited(const void *frame, const void *end, __u32 first)
{
	const struct ethernet *eth = frame;
	const struct mkpdu *m = spot(frame, first);
	struct eapol_peer peer = {};
	__u32 i = STRANGERS, n = 0;
	__u64 every = STRANGERS_EVERY;
	struct budget *b = bpf_map_lookup_elem(&eapol_budgets, &i);

	if (!b || !b->limits || (const void *)(eth + 1) > end)
		return 0;
	if ((const void *)(m + 1) <= end && m->type == EAPOL_MKA)
		n = number_of(m, end);
	if (n) {
		__builtin_memcpy(peer.mac, eth->source, sizeof(peer.mac));
		i = known(&peer) ? NEW_MI : NEW_ADDRESS;
		__builtin_memcpy(peer.mi, m->mi, sizeof(peer.mi));
		peer.ckn = n;
		if (known(&peer))
			return 0;
		peer.ckn = 0;
		i += bucket(&peer);
		every = MEMBERS_EVERY;
		b = bpf_map_lookup_elem(&eapol_budgets, &i);
	}
	return !b || !spend(b, every);
}

__noinline int limited_xdp(struct xdp_md *ctx, __u32 first) { return limited(START(ctx), END(ctx), first); }
__noinline int limited_tc(struct __sk_buff *ctx, __u32 first) { return limited(START(ctx), END(ctx), first); }

static __always_inline int is_limited(const struct frame *f)
{
	return f->hook == XDP ? limited_xdp(f->ctx, f->first) : limited_tc(f->ctx, f->first);
}
