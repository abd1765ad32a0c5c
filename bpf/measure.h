// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What a frame that leaves becomes on the wire: cut into segments, and with the
// tag that is beside it.
#pragma once

#include "tunnel.h"

// The octet of TCP's header that has its length, >> 4 in 4 octets.
#define TCP_LENGTH 12

// segments are those of a super-packet that does not say how many, as one out of
// a tap; its packet begins at octet `at`. The kernel has counted the length of all
// (wire_len: net/core/dev.c, qdisc_pkt_len_init), to which each segment but the
// first adds a header. Of headers that are not known it is an estimate. It is no
// static function, so that the verifier looks at it once.
__noinline __u32 segments(struct __sk_buff *skb, __u32 at, __u32 type)
{
	__u32 head = 0, all = skb->wire_len, each = skb->gso_size, protocol = 0;
	struct ip4 four;
	struct ip6 six;
	__u8 length;

	if (type == bpf_htons(ETH_P_IP) && !bpf_skb_load_bytes(skb, at, &four, sizeof(four))) {
		protocol = four.protocol;
		head = at + (four.version_ihl & 15) * 4;
	} else if (type == bpf_htons(ETH_P_IPV6) && !bpf_skb_load_bytes(skb, at, &six, sizeof(six))) {
		protocol = six.next;
		head = at + sizeof(six);
	}
	if (head && protocol == TCP && !bpf_skb_load_bytes(skb, head + TCP_LENGTH, &length, sizeof(length)))
		head += (length >> 4) * 4;
	else if (head && protocol == UDP)
		head += sizeof(struct udp);
	else
		head = 0;
	if (head && all > skb->len)
		return 1 + (all - skb->len) / head;
	return each ? (skb->len + each - 1) / each : 1;
}

// measure is for a frame that is taken apart.
static __always_inline void measure(struct frame *f, struct __sk_buff *skb)
{
	f->size = skb->len;
	f->frames = 1;
	if (skb->gso_size) {
		f->size = skb->wire_len;
		f->frames = skb->gso_segs;
		if (!f->frames)
			f->frames = segments(skb, f->payload - (const void *)f->eth, f->type);
	}
	if (skb->vlan_present)
		f->size += f->frames * sizeof(struct vlan);
}
