// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What a frame carries behind its tags: IPv4 or IPv6, and the ports of what
// has ports. Nothing is read beyond its end.
#pragma once

#include "frame.h"
#include "verdict.h"

struct ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__sum16 checksum;
	__u8 source[4];
	__u8 destination[4];
};

struct ipv6 {
	__be16 class; // version, traffic class, 4 bits of the flow label
	__be16 flow;
	__be16 length;
	__u8 next;
	__u8 hops;
	__u8 source[16];
	__u8 destination[16];
};

// An extension header (RFC 8200 4), and where the fragment header has the
// fragment's offset.
struct extension {
	__u8 next;
	__u8 length; // in 8 octets, without the first 8; not of a fragment header
	__be16 offset;
	__u32 rest;
};

enum protocol {
	HOP_BY_HOP = 0,
	TCP = 6,
	UDP = 17,
	DCCP = 33,
	ROUTING = 43,
	FRAGMENT = 44,
	DESTINATION_OPTIONS = 60,
	SCTP = 132,
	UDPLITE = 136,
	NO_PROTOCOL = 255, // reserved: of what is not IP
};

// The DSCP of what is not IP.
#define NO_DSCP 64

#define MAX_EXTENSIONS 4

struct ports {
	__be16 source;
	__be16 destination;
};

struct inner {
	const void *far;	   // the address that is not ours: destination of what leaves, else source; NULL: no IP
	const struct ports *ports; // NULL: it has none, or they are in another fragment
	const void *body;	   // behind the IP header and its extensions; NULL: not known
	__u32 six;
	__u32 dscp;
	__u32 protocol;
};

static __always_inline int has_ports(__u32 protocol)
{
	return protocol == TCP || protocol == UDP || protocol == SCTP || protocol == UDPLITE || protocol == DCCP;
}

static __always_inline int is_extension(__u32 protocol)
{
	return protocol == HOP_BY_HOP || protocol == ROUTING || protocol == DESTINATION_OPTIONS || protocol == FRAGMENT;
}

// behind goes over the extension headers. It is false where what is behind them
// is in another fragment, or there is no end to them.
static __always_inline int behind(const struct frame *f, struct inner *n)
{
#pragma unroll
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		const struct extension *e = n->body;

		if (!is_extension(n->protocol))
			return 1;
		if ((const void *)(e + 1) > f->end)
			return 0;
		if (n->protocol == FRAGMENT) {
			n->protocol = e->next;
			n->body = e + 1;
			if (e->offset & bpf_htons(0xfff8))
				return 0;
			continue;
		}
		n->protocol = e->next;
		n->body = (const void *)(e + 1) + e->length * 8;
	}
	return !is_extension(n->protocol);
}

static __always_inline void look_inside(const struct frame *f, enum direction d, struct inner *n)
{
	int first = 0;

	n->far = n->ports = n->body = 0;
	n->six = 0;
	n->dscp = NO_DSCP;
	n->protocol = NO_PROTOCOL;
	if (f->type == bpf_htons(ETH_P_IP)) {
		const struct ipv4 *h = f->payload;

		if ((const void *)(h + 1) > f->end || h->version_ihl < 0x45 || h->version_ihl > 0x4f)
			return;
		n->far = d == EGRESS ? h->destination : h->source;
		n->dscp = h->tos >> 2;
		n->protocol = h->protocol;
		n->body = f->payload + (h->version_ihl & 15) * 4;
		first = !(h->fragment & bpf_htons(0x1fff));
	} else if (f->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6 *h = f->payload;

		if ((const void *)(h + 1) > f->end || (h->class & bpf_htons(0xf000)) != bpf_htons(0x6000))
			return;
		n->six = 1;
		n->far = d == EGRESS ? h->destination : h->source;
		n->dscp = bpf_ntohs(h->class) >> 6 & 63;
		n->protocol = h->next;
		n->body = h + 1;
		first = behind(f, n);
	}
	if (!first) {
		n->body = 0;
		return;
	}
	if (has_ports(n->protocol) && n->body + sizeof(struct ports) <= f->end)
		n->ports = n->body;
}
