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

// struct inner has no pointer into the frame: so many ways to get here would be
// as many states to the verifier.
struct inner {
	__u32 ip;	   // 4 or 6; 0: what is not IP, and its DSCP and protocol are of nothing
	__u32 dscp;
	__u32 protocol;
	__u32 has_ports; // it has ports, and they are in this fragment
	__be16 source;
	__be16 destination;
	__u32 head;    // octets up to the end of TCP's or UDP's header, or of IP's; 0: not known
	__u8 far[16];  // the address that is not ours: destination of what leaves, else source
};

static __always_inline int has_ports(__u32 protocol)
{
	return protocol == TCP || protocol == UDP || protocol == SCTP || protocol == UDPLITE || protocol == DCCP;
}

static __always_inline int is_extension(__u32 protocol)
{
	return protocol == HOP_BY_HOP || protocol == ROUTING || protocol == DESTINATION_OPTIONS || protocol == FRAGMENT;
}

#define NOT_BEHIND 0xffffffff

// behind goes over the extension headers from octet `at` of the frame on: the
// place of what is behind them << 8 | its protocol. The place is NOT_BEHIND's
// where that is in another fragment, or there is no end to them. It is no static
// function, so that the verifier looks at it once.
__noinline __u32 behind(struct __sk_buff *skb, __u32 at, __u32 is)
{
	struct extension e;

	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		if (!is_extension(is))
			break;
		if (bpf_skb_load_bytes(skb, at, &e, sizeof(e)))
			return NOT_BEHIND;
		at += sizeof(e);
		if (is != FRAGMENT)
			at += e.length * 8;
		else if (e.offset & bpf_htons(0xfff8) && !is_extension(e.next))
			return (NOT_BEHIND & ~255) | e.next;
		else if (e.offset & bpf_htons(0xfff8))
			return NOT_BEHIND;
		is = e.next;
	}
	return is_extension(is) ? NOT_BEHIND : at << 8 | (is & 255);
}

// look_behind reads the header that is at that place, of the protocol that n has.
static __always_inline void look_behind(const struct frame *f, struct inner *n, const void *at)
{
	const struct ports *p = at;
	const __u8 *tcp = at;

	n->head = at - (const void *)f->eth;
	if (!has_ports(n->protocol) || (const void *)(p + 1) > f->end)
		return;
	n->has_ports = 1;
	n->source = p->source;
	n->destination = p->destination;
	if (n->protocol == UDP)
		n->head += 8;
	else if (n->protocol == TCP && (const void *)(tcp + 13) <= f->end)
		n->head += (tcp[12] >> 4) * 4;
}

static __always_inline void look_inside(struct __sk_buff *skb, const struct frame *f, enum direction d, struct inner *n)
{
	if (f->type == bpf_htons(ETH_P_IP)) {
		const struct ipv4 *h = f->payload;

		if ((const void *)(h + 1) > f->end || h->version_ihl < 0x45 || h->version_ihl > 0x4f)
			return;
		n->ip = 4;
		__builtin_memcpy(n->far, d == EGRESS ? h->destination : h->source, sizeof(h->source));
		n->dscp = h->tos >> 2;
		n->protocol = h->protocol;
		if (!(h->fragment & bpf_htons(0x1fff)))
			look_behind(f, n, f->payload + (h->version_ihl & 15) * 4);
	} else if (f->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6 *h = f->payload;
		__u32 found;

		if ((const void *)(h + 1) > f->end || (h->class & bpf_htons(0xf000)) != bpf_htons(0x6000))
			return;
		n->ip = 6;
		__builtin_memcpy(n->far, d == EGRESS ? h->destination : h->source, sizeof(h->source));
		n->dscp = bpf_ntohs(h->class) >> 6 & 63;
		n->protocol = h->next;
		if (!is_extension(n->protocol)) {
			look_behind(f, n, h + 1);
			return;
		}
		found = behind(skb, (const void *)(h + 1) - (const void *)f->eth, n->protocol);
		n->protocol = found & 255; // of NOT_BEHIND NO_PROTOCOL
		if (found >> 8 < 1024)
			look_behind(f, n, (const void *)f->eth + (found >> 8));
	}
}
