// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// IP packets, taken apart as far as the header behind those of IP.
#pragma once

#include "frame.h"
#include "settings.h"

enum ip_protocol {
	HOP_BY_HOP = 0,
	IP_IN_IP = 4,
	TCP = 6,
	UDP = 17,
	IP6_IN_IP = 41,
	ROUTING = 43,
	FRAGMENT = 44,
	GRE = 47,
	ESP = 50,
	AH = 51,
	MINIMAL = 55, // RFC 2004
	ICMP6 = 58,
	DESTINATION = 60,
	IPIP = 94,   // RFC 1241's
	ETHERIP = 97,
	ENCAP = 98,
	IPCOMP = 108,
	L2TP = 115,
	MOBILITY = 135,
	MPLS_IN_IP = 137,
	HIP = 139,
	SHIM6 = 140,
	ETHERNET = 143, // RFC 8986
};

struct ip4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__sum16 checksum;
	__be32 source;
	__be32 destination;
};

struct ip6 {
	__be32 version_class_flow;
	__be16 length;
	__u8 next;
	__u8 hop_limit;
	__be64 source[2];
	__be64 destination[2];
};

struct packet {
	const void *ip;  // its header
	const void *at;  // behind the headers of IP
	const void *end; // of the frame
	__u32 protocol;	 // of what is there
	__u32 later;	 // a fragment, but not the first: at is amid something
};

#define FRAGMENT_OFFSET 0x1fff
#define FRAGMENT_OFFSET6 0xfff8

static __always_inline int is_extension(__u32 protocol)
{
	switch (protocol) {
	case HOP_BY_HOP:
	case ROUTING:
	case FRAGMENT:
	case AH:
	case DESTINATION:
	case MOBILITY:
	case HIP:
	case SHIM6:
		return 1;
	}
	return 0;
}

#define MAX_EXTENSIONS 8

// What is behind the headers of IP, in one number: its place in the frame, whether it
// is of a later fragment, its protocol.
#define BEHIND(at, later, protocol) ((at) << 16 | (later) << 8 | (protocol))
#define NOT_TOLD 0xffffffff

// extensions goes behind extension headers (RFC 8200 4), or behind AH in IPv4,
// from octet `first` of the frame on. It is NOT_TOLD where what follows, or where
// the packet goes to, cannot be told: too many of them, or too long, one that is
// cut, a segment left in a routing header.
static __always_inline __u32 extensions(const void *frame, const void *end, __u32 first, __u32 protocol)
{
	const __u8 *start = spot(frame, first), *h;
	__u64 octets = 0, unknown = end - frame;
	__u32 here, later;

	if (!must.underlay) // 6.1 looks at what is never called, too
		return NOT_TOLD;
	for (int i = 0; i <= MAX_EXTENSIONS; i++) {
		forget(octets, unknown);
		asm volatile("%0 &= 255" : "+r"(octets)); // as it is
		h = start + octets;
		if (!is_extension(protocol))
			return BEHIND(first + (__u32)octets, 0, protocol);
		if (i == MAX_EXTENSIONS || (const void *)(h + 8) > end)
			return NOT_TOLD;
		here = protocol;
		protocol = h[0];
		if (here == FRAGMENT) {
			later = bpf_ntohs(*(const __be16 *)(h + 2)) & FRAGMENT_OFFSET6;
			if (later)
				return is_extension(protocol) ? NOT_TOLD : BEHIND(first, 1, protocol);
			octets += 8;
		} else if (here == AH) {
			octets += (h[1] + 2) * 4;
		} else {
			if (here == ROUTING && h[3])
				return NOT_TOLD;
			octets += (h[1] + 1) * 8;
		}
		if (octets > 255)
			return NOT_TOLD;
	}
	return NOT_TOLD;
}

enum ip4_option {
	END_OF_OPTIONS = 0,
	NO_OPERATION = 1,
	LOOSE_SOURCE_ROUTE = 131,
	STRICT_SOURCE_ROUTE = 137,
};

#define OPTIONS_OCTETS 40
#define MAX_OPTIONS 8

// options is 0 where the options of an IPv4 packet, that many octets, are cut,
// too many, or send it elsewhere than its destination says (RFC 791 3.1).
static __always_inline int options(const __u8 *start, const void *end, __u32 octets)
{
	__u64 i = 0, unknown = end - (const void *)start;
	const __u8 *stop = start + octets, *o;

	for (int n = 0; n <= MAX_OPTIONS; n++) {
		forget(i, unknown);
		asm volatile("%0 &= 255" : "+r"(i)); // as it is
		o = start + i;
		if (o >= stop)
			return o == stop;
		if ((const void *)(o + 1) > end)
			return 0;
		if (*o == NO_OPERATION) {
			i++;
			continue;
		}
		if (*o == END_OF_OPTIONS)
			return 1;
		if (*o == LOOSE_SOURCE_ROUTE || *o == STRICT_SOURCE_ROUTE || (const void *)(o + 2) > end || o[1] < 2)
			return 0;
		i += o[1];
		if (i > OPTIONS_OCTETS)
			return 0;
	}
	return 0;
}

// behind4 is what is behind the header of the IPv4 packet that begins at that octet
// of the frame: behind its options and AH.
static __always_inline __u32 behind4(const void *frame, const void *end, __u32 first)
{
	const struct ip4 *ip = spot(frame, first);
	__u32 octets, later;

	if (!must.underlay || (const void *)(ip + 1) > end)
		return NOT_TOLD;
	octets = ((ip->version_ihl & 0xf) - 5) * 4;
	if (ip->version_ihl >> 4 != 4 || octets > OPTIONS_OCTETS || !options((const void *)(ip + 1), end, octets))
		return NOT_TOLD;
	later = (ip->fragment & bpf_htons(FRAGMENT_OFFSET)) != 0;
	first += sizeof(*ip) + octets;
	if (ip->protocol != AH)
		return BEHIND(first, later, ip->protocol);
	return later ? NOT_TOLD : extensions(frame, end, first, AH);
}

__noinline __u32 behind4_xdp(struct xdp_md *ctx, __u32 first) { return behind4(START(ctx), END(ctx), first); }
__noinline __u32 behind4_tc(struct __sk_buff *ctx, __u32 first) { return behind4(START(ctx), END(ctx), first); }

__noinline __u32 behind6_xdp(struct xdp_md *ctx, __u32 first, __u32 protocol) { return extensions(START(ctx), END(ctx), first, protocol); }
__noinline __u32 behind6_tc(struct __sk_buff *ctx, __u32 first, __u32 protocol) { return extensions(START(ctx), END(ctx), first, protocol); }

// found takes what behind4 and behind6 are. It is 0 for what cannot be told.
static __always_inline int found(struct packet *p, const struct frame *f, __u32 behind)
{
	p->at = spot(f->eth, behind >> 16);
	p->later = behind & 0xff00;
	p->protocol = behind & 0xff;
	return behind != NOT_TOLD;
}

// dissect4 is 0 for what cannot be told.
static __always_inline int dissect4(struct packet *p, const struct frame *f)
{
	const struct ip4 *ip = f->payload;

	p->ip = ip;
	p->end = f->end;
	if ((const void *)(ip + 1) > f->end)
		return 0;
	if (ip->version_ihl != 0x45 || ip->protocol == AH)
		return found(p, f, f->hook == XDP ? behind4_xdp(f->ctx, f->first) : behind4_tc(f->ctx, f->first));
	p->protocol = ip->protocol;
	p->later = ip->fragment & bpf_htons(FRAGMENT_OFFSET);
	p->at = ip + 1;
	return 1;
}

// dissect6 is 0 for what cannot be told.
static __always_inline int dissect6(struct packet *p, const struct frame *f)
{
	const struct ip6 *ip = f->payload;
	__u32 first = f->first + sizeof(*ip);

	p->ip = ip;
	p->end = f->end;
	if ((const void *)(ip + 1) > f->end || *(const __u8 *)ip >> 4 != 6)
		return 0;
	if (is_extension(ip->next))
		return found(p, f, f->hook == XDP ? behind6_xdp(f->ctx, first, ip->next) : behind6_tc(f->ctx, first, ip->next));
	p->protocol = ip->next;
	p->later = 0;
	p->at = ip + 1;
	return 1;
}
