// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The gate in front of a MACsec device, for the moment in which its encoding
// AN changes. drivers/net/macsec.c reads the AN twice for a frame, to find the
// SA and to write the SecTAG; a change in between tears the frame. So while
// the gate is shut no CPU enters the device, and busy tells which are still
// inside: who changes the AN waits for them.
#include "kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// When the gate opens by itself, in nanoseconds of CLOCK_MONOTONIC; 0 is open.
// The loader writes it. A time and not a flag: who shut it may die.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} shut SEC(".maps");

// How many frames this CPU has in the device.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} busy SEC(".maps");

static const __u32 only = 0;

static long wait(__u32 turn, void *ctx)
{
	__u64 *until = bpf_map_lookup_elem(&shut, &only);

	(void)turn, (void)ctx;
	return !until || bpf_ktime_get_ns() >= *(volatile __u64 *)until;
}

// More than fit in the longest time that the gate is shut.
#define TURNS (1 << 20)

// Egress of the MACsec device, bottom halves off: nothing else of this kind
// runs on this CPU until the frame has left.
SEC("tc")
int linkseal_enter(struct __sk_buff *skb)
{
	__u64 *until = bpf_map_lookup_elem(&shut, &only);
	__u64 *inside = bpf_map_lookup_elem(&busy, &only);
	__u64 segments = skb->gso_segs; // segmented between here and the device

	if (!until || !inside)
		return TC_ACT_UNSPEC;
	if (!segments)
		segments = 1;
	// First say so, then look, in this order on all CPUs: the exchange is a
	// full barrier. Who shuts the gate does it the other way round.
	__sync_lock_test_and_set(inside, segments);
	if (*(volatile __u64 *)until) {
		__sync_lock_test_and_set(inside, 0);
		bpf_loop(TURNS, wait, 0, 0);
		__sync_lock_test_and_set(inside, segments);
	}
	return TC_ACT_UNSPEC;
}

// Egress of the port under it.
SEC("tc")
int linkseal_leave(struct __sk_buff *skb)
{
	__u64 *inside = bpf_map_lookup_elem(&busy, &only);

	(void)skb;
	if (inside && *inside)
		__sync_fetch_and_sub(inside, 1);
	return TC_ACT_UNSPEC;
}
