// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// IP packets, taken apart as far as the header behind those of IP.
#pragma once

#include "frame.h"

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
	const void *addresses; // source and destination, together
	const void *at;	       // behind the headers of IP
	const void *end;       // of the frame
	__u32 protocol;	       // of what is there
	__u32 later;	       // a fragment, but not the first: at is amid something
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

// rejoin has the verifier forget on which path a pointer into the frame was
// come by, so that what follows is verified once and not once a path. What it is
// given is less than 512 octets behind.
static __always_inline const void *rejoin(const void *frame, const void *at)
{
	__u64 octets = at - frame;

	asm volatile("%0 &= 511" : "+r"(octets));
	return frame + octets;
}

// forget has the verifier know no more of a loop's variable than that it is less
// than 256. unknown may be any number that it does not know.
#define forget(n, unknown) asm volatile("%0 ^= %1; %0 ^= %1; %0 &= 255" : "+r"(n) : "r"(unknown))

#define MAX_EXTENSIONS 8

// extensions goes behind extension headers (RFC 8200 4), or behind AH in IPv4.
// It is 0 where what follows, or where the packet goes to, cannot be told: too
// many of them, or too long, one that is cut, a segment left in a routing header.
static __noinline int extensions(struct packet *p)
{
	const __u8 *start = p->at, *h;
	__u32 protocol = p->protocol, here, later;
	__u64 octets = 0, unknown = p->end - p->at;

	for (int i = 0; i <= MAX_EXTENSIONS; i++) {
		forget(octets, unknown);
		h = start + octets;
		if (!is_extension(protocol)) {
			p->protocol = protocol;
			p->at = h;
			return 1;
		}
		if (i == MAX_EXTENSIONS || (const void *)(h + 8) > p->end)
			return 0;
		here = protocol;
		protocol = h[0];
		if (here == FRAGMENT) {
			later = bpf_ntohs(*(const __be16 *)(h + 2)) & FRAGMENT_OFFSET6;
			if (later) {
				p->protocol = protocol;
				p->later = 1;
				return !is_extension(protocol);
			}
			octets += 8;
		} else if (here == AH) {
			octets += (h[1] + 2) * 4;
		} else {
			if (here == ROUTING && h[3])
				return 0;
			octets += (h[1] + 1) * 8;
		}
		if (octets > 255)
			return 0;
	}
	return 0;
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
static __noinline int options(const __u8 *start, const void *end, __u32 octets)
{
	__u64 i = 0, unknown = end - (const void *)start;
	const __u8 *stop = start + octets, *o;

	for (int n = 0; n <= MAX_OPTIONS; n++) {
		forget(i, unknown);
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

// dissect4 is 0 for what cannot be told.
static __always_inline int dissect4(struct packet *p, const struct frame *f)
{
	const struct ip4 *ip = rejoin(f->eth, f->payload);
	__u32 octets;

	p->end = f->end;
	if ((const void *)(ip + 1) > f->end)
		return 0;
	p->addresses = &ip->source;
	p->protocol = ip->protocol;
	p->later = (ip->fragment & bpf_htons(FRAGMENT_OFFSET)) != 0;
	p->at = ip + 1;
	if (ip->version_ihl != 0x45) {
		octets = ((ip->version_ihl & 0xf) - 5) * 4;
		if (ip->version_ihl >> 4 != 4 || octets > OPTIONS_OCTETS || !options(p->at, f->end, octets))
			return 0;
		p->at += octets;
	}
	if (p->protocol == AH && (p->later || !extensions(p)))
		return 0;
	p->at = rejoin(f->eth, p->at);
	return 1;
}

// dissect6 is 0 for what cannot be told.
static __always_inline int dissect6(struct packet *p, const struct frame *f)
{
	const struct ip6 *ip = rejoin(f->eth, f->payload);

	p->end = f->end;
	if ((const void *)(ip + 1) > f->end || *(const __u8 *)ip >> 4 != 6)
		return 0;
	p->addresses = ip->source;
	p->protocol = ip->next;
	p->later = 0;
	p->at = ip + 1;
	if (is_extension(p->protocol) && !extensions(p))
		return 0;
	p->at = rejoin(f->eth, p->at);
	return 1;
}
