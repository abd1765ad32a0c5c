// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The prefixes that may be on the wire in a tunnel only.
#pragma once

#include "ip.h"
#include "verdict.h"

struct prefix {
	__u32 length; // bits of what follows
	__u32 family; // 4 or 6
	union {
		__u8 octets[16];
		__be32 ip4;
		__be64 ip6[2];
	};
};

#define MAX_PREFIXES 16384

// The set of one moment, in one slot: another takes its place in one step.
// While there is none nothing can be told.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);
		__uint(map_flags, BPF_F_NO_PREALLOC);
		__uint(max_entries, MAX_PREFIXES);
		__uint(key_size, sizeof(struct prefix)); // a type of an inner map's is not in the object
		__uint(value_size, sizeof(__u32));
	});
} protect SEC(".maps");

// is_protected4 and is_protected6 are of one address.
static __always_inline int is_protected4(void *set, __be32 address)
{
	struct prefix k = {.length = 32 + 32, .family = 4, .ip4 = address};

	return bpf_map_lookup_elem(set, &k) != 0;
}

static __always_inline int is_protected6(void *set, const __be64 *address)
{
	struct prefix k = {.length = 32 + 128, .family = 6, .ip6 = {address[0], address[1]}};

	return bpf_map_lookup_elem(set, &k) != 0;
}

// encapsulates tells of a protocol in which another packet may be.
static __always_inline int encapsulates(__u32 protocol)
{
	switch (protocol) {
	case IP_IN_IP:
	case IP6_IN_IP:
	case GRE:
	case AH:
	case MINIMAL:
	case IPIP:
	case ETHERIP:
	case ENCAP:
	case IPCOMP:
	case L2TP:
	case MPLS_IN_IP:
	case ETHERNET:
		return 1;
	}
	return 0;
}

// carries4 tells whether an inner IPv4 packet may be of a protected prefix: by its
// addresses, by what may be in it, or since options may send it elsewhere.
static __always_inline int carries4(void *set, const void *header, const void *end)
{
	const struct ip4 *ip = header;

	if ((const void *)(ip + 1) > end || ip->version_ihl != 0x45 || encapsulates(ip->protocol))
		return 1;
	return is_protected4(set, ip->source) || is_protected4(set, ip->destination);
}

// carries6 is the same for IPv6. Of extension headers an inner packet may have
// that of a fragment.
static __always_inline int carries6(void *set, const void *header, const void *end)
{
	const struct ip6 *ip = header;
	const __u8 *fragment = (const void *)(ip + 1);
	__u32 next;

	if ((const void *)(ip + 1) > end || *(const __u8 *)ip >> 4 != 6)
		return 1;
	next = ip->next;
	if (next == FRAGMENT) {
		if ((const void *)(fragment + 8) > end)
			return 1;
		next = *fragment;
	}
	return is_extension(next) || encapsulates(next) || is_protected6(set, ip->source) || is_protected6(set, ip->destination);
}

struct gre { // RFC 2784, 2890
	__be16 flags;
	__be16 type;
};

enum gre_flags {
	GRE_CHECKSUM = 0x8000,
	GRE_KEY = 0x2000,
	GRE_SEQUENCE = 0x1000,
};

static __always_inline int carries_gre(void *set, const struct gre *g, const void *end)
{
	const void *at = g + 1;
	const struct ethernet *eth;
	__u64 octets;
	__be16 type;
	__u16 flags;

	if (at > end)
		return 1;
	flags = bpf_ntohs(g->flags);
	type = g->type;
	if (flags & ~(GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE))
		return 1; // another version, or source routes
	octets = (!!(flags & GRE_CHECKSUM) + !!(flags & GRE_KEY) + !!(flags & GRE_SEQUENCE)) * 4;
	asm volatile("%0 &= 15" : "+r"(octets)); // of a number that was turned 6.1 knows no bounds
	at += octets;
	if (type == bpf_htons(ETH_P_TEB)) {
		eth = at;
		at = eth + 1;
		if (at > end)
			return 1;
		type = eth->type;
		if (type == bpf_htons(ETH_P_ARP))
			return 0;
	}
	if (type == bpf_htons(ETH_P_IP))
		return carries4(set, at, end);
	if (type == bpf_htons(ETH_P_IPV6))
		return carries6(set, at, end);
	return 1;
}

// carries tells whether what is in the packet may be of a protected prefix: one
// level of encapsulation in clear is looked into. What is in a second, or cannot
// be looked into, may be anything.
static __always_inline int carries(void *set, const struct packet *p)
{
	switch (p->protocol) {
	case IP_IN_IP:
		return p->later || carries4(set, p->at, p->end);
	case IP6_IN_IP:
		return p->later || carries6(set, p->at, p->end);
	case GRE:
		return p->later || carries_gre(set, p->at, p->end);
	}
	return encapsulates(p->protocol);
}
