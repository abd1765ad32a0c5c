// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The guard: it refuses the sockets that would transmit past the egress hooks
// of a must-secure port. It hangs at the root of the cgroups, where it sees
// each option that a socket is given, and has no say but over the network
// namespace of a guarded port. The option is set before it is known where the
// socket will send, so that it goes by the namespace.
#include "kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// The program's value. REFUSE becomes EPERM.
enum { REFUSE, ALLOW };

enum { SOL_PACKET = 263, PACKET_QDISC_BYPASS = 20, SOL_XDP = 283, XDP_TX_RING = 3 };

// struct bpf_sockopt of include/uapi/linux/bpf.h. Its pointers are 64 bits wide.
struct bpf_sock;
struct bpf_sockopt {
	struct bpf_sock *sk;
	__u64 optval;
	__u64 optval_end;
	__s32 level;
	__s32 optname;
	__s32 optlen;
	__s32 retval;
};

// A guarded port, or, with ifindex 0, the namespace of one.
struct place {
	__u64 netns; // its cookie, which no other ever has
	__u32 ifindex;
	__u32 pad;
};

// How many sockets of a namespace were refused. Of a port, whose name the program
// never looks up, bypass is the id of a map of its filter: who finds that gone
// knows that the port is.
struct refused {
	__u64 bypass; // PACKET_QDISC_BYPASS
	__u64 xdp;    // AF_XDP transmission
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct place);
	__type(value, struct refused);
} guarded SEC(".maps");

// Sockets that are judged otherwise: those of a SecY in user space may transmit
// by AF_XDP, and with one on trial who guards tells whether it is refused.
enum { MAY_TRANSMIT = 1, ON_TRIAL };

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32); // a socket, by file descriptor to user space
	__type(value, __u32);
} known SEC(".maps");

SEC("cgroup/setsockopt")
int linkseal_guard(struct bpf_sockopt *ctx)
{
	int bypass = ctx->level == SOL_PACKET && ctx->optname == PACKET_QDISC_BYPASS;
	int xdp = ctx->level == SOL_XDP && ctx->optname == XDP_TX_RING;
	struct place at = {};
	struct refused *n;
	__u32 *as;

	// The program has the first page of a copy of the value. One that is longer is
	// an error but with 0, which is the caller's own; with others the programs of
	// cgroups below, which ran before, have had their say: a value that is another,
	// or a length of -1, with which the kernel does nothing.
	if (ctx->optlen > (__s64)(ctx->optval_end - ctx->optval))
		ctx->optlen = 0;
	if (!bypass && !xdp)
		return ALLOW;
	at.netns = bpf_get_netns_cookie(ctx);
	n = bpf_map_lookup_elem(&guarded, &at);
	if (!n)
		return ALLOW;
	as = ctx->sk ? bpf_sk_storage_get(&known, ctx->sk, 0, 0) : 0;
	if (as && *as == MAY_TRANSMIT && xdp)
		return ALLOW;
	if (!as)
		__sync_fetch_and_add(bypass ? &n->bypass : &n->xdp, 1);
	return REFUSE;
}
