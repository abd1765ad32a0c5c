// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The device below a tunnel: protected prefixes are on it in the tunnel only.
// What cannot be told to be of another prefix is taken for one of these.
#pragma once

#include "protect.h"
#include "tunnel.h"

// How much of a frame is looked at: two tags, IPv6 with extension headers, an
// encapsulation and what is in it.
#define LOOK_UNDERLAY 256

#define MIN_ETHER_TYPE 0x0600

enum sap { SAP_BRIDGE = 0x42 }; // spanning tree (802.1D 7.12.3)

// holds_no_ip tells of a frame that is not IP that none is in it. Of all other
// EtherTypes, and of LLC, that is not known.
static __always_inline int holds_no_ip(const struct frame *f)
{
	const __u8 *saps = f->payload;

	switch (bpf_ntohs(f->type)) {
	case ETH_P_ARP:
	case ETH_P_SLOW:
	case ETH_P_PAE:
	case ETH_P_LLDP:
	case ETH_P_1588:
	case ETH_P_CFM:
	case ETH_P_LOOPBACK:
		return 1;
	}
	return bpf_ntohs(f->type) < MIN_ETHER_TYPE && (const void *)(saps + 2) <= f->end && saps[0] == SAP_BRIDGE && saps[1] == SAP_BRIDGE;
}

enum neighbour_discovery { ROUTER_SOLICITATION = 133, ROUTER_ADVERTISEMENT = 134, REDIRECT = 137 };

static __always_inline int is_link_local(const __u8 *address) { return address[0] == 0xfe && (address[1] & 0xc0) == 0x80; }

// is_nd tells neighbour discovery (RFC 4861): none is forwarded. What routers say
// comes from an address of the link's own (6.1.2, 8.1).
static __always_inline int is_nd(const struct ip6 *ip, const void *end)
{
	const __u8 *type = (const void *)(ip + 1);

	if (ip->next != ICMP6 || ip->hop_limit != 255 || (const void *)(type + 1) > end)
		return 0;
	if (*type == ROUTER_ADVERTISEMENT || *type == REDIRECT)
		return is_link_local((const void *)ip->source);
	return *type >= ROUTER_SOLICITATION && *type < REDIRECT;
}

// goes_elsewhere tells that a packet goes to no protected host: to a group or a
// link's own address, or to one that is in no prefix.
static __always_inline int goes_elsewhere(void *set, const struct ip6 *ip)
{
	const __u8 *to = (const void *)ip->destination;

	return to[0] == 0xff || is_link_local(to) || (set && !is_protected6(set, ip->destination));
}

// again is a frame that is not taken apart a second time: its packet begins at that
// octet.
static __always_inline struct frame again(void *ctx, enum hook hook, __u32 first)
{
	struct frame f = {.ctx = ctx, .hook = hook, .first = first};

	f.eth = start(&f);
	f.end = end(&f);
	f.payload = spot(f.eth, first);
	return f;
}

// in_clear4 and in_clear6 judge a packet that is not a tunnel's.
static __always_inline enum verdict in_clear4(void *ctx, enum hook hook, __u32 first)
{
	struct frame f = again(ctx, hook, first);
	const struct ip4 *ip;
	struct packet p;
	__u32 now = 0;
	void *set = bpf_map_lookup_elem(&protect, &now);

	if (!must.underlay || !set || !dissect4(&p, &f))
		return PROTECTED;
	ip = p.ip;
	return is_protected4(set, ip->source) || is_protected4(set, ip->destination) || carries(set, &p) ? PROTECTED : CLEAR;
}

static __always_inline enum verdict in_clear6(void *ctx, enum hook hook, __u32 first)
{
	struct frame f = again(ctx, hook, first);
	const struct ip6 *ip;
	struct packet p;
	__u32 now = 0;
	void *set = bpf_map_lookup_elem(&protect, &now);

	if (!must.underlay || !dissect6(&p, &f))
		return PROTECTED;
	ip = p.ip;
	if (is_nd(ip, p.end) && goes_elsewhere(set, ip))
		return CLEAR;
	return !set || is_protected6(set, ip->source) || is_protected6(set, ip->destination) || carries(set, &p) ? PROTECTED : CLEAR;
}

__noinline int in_clear4_xdp(struct xdp_md *ctx, __u32 first) { return in_clear4(ctx, XDP, first); }
__noinline int in_clear4_tc(struct __sk_buff *ctx, __u32 first) { return in_clear4(ctx, TC, first); }
__noinline int in_clear6_xdp(struct xdp_md *ctx, __u32 first) { return in_clear6(ctx, XDP, first); }
__noinline int in_clear6_tc(struct __sk_buff *ctx, __u32 first) { return in_clear6(ctx, TC, first); }

static __always_inline enum verdict underlay(enum direction d, const struct frame *f)
{
	struct packet p;

	if (f->type == bpf_htons(ETH_P_IP)) {
		if (!dissect4(&p, f))
			return PROTECTED;
		if (tunnel(d, f, &p, 4))
			return TUNNEL;
		return f->hook == XDP ? in_clear4_xdp(f->ctx, f->first) : in_clear4_tc(f->ctx, f->first);
	}
	if (f->type == bpf_htons(ETH_P_IPV6)) {
		if (!dissect6(&p, f))
			return PROTECTED;
		if (tunnel(d, f, &p, 6))
			return TUNNEL;
		return f->hook == XDP ? in_clear6_xdp(f->ctx, f->first) : in_clear6_tc(f->ctx, f->first);
	}
	return holds_no_ip(f) ? CLEAR : PROTECTED;
}
