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

struct llc {
	__u8 dsap;
	__u8 ssap;
	__u8 control;
	__u8 oui[3];
	__be16 type;
};

enum sap { SAP_IP = 0x06, SAP_SNAP = 0xaa };

#define MIN_ETHER_TYPE 0x0600

// conceals tells of a frame that is not IP whether IP may be in it.
static __always_inline int conceals(const struct frame *f)
{
	const struct llc *l = f->payload;

	switch (bpf_ntohs(f->type)) {
	case ETH_P_8021Q: // a tag behind two, or one that is cut
	case ETH_P_8021AD:
	case ETH_P_QINQ1:
	case ETH_P_TRILL:
	case ETH_P_TEB:
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
	case ETH_P_PPP_SES:
	case ETH_P_8021AH:
	case ETH_P_HSR:
	case ETH_P_NSH:
	case ETH_P_RTAG:
		return 1;
	}
	if (bpf_ntohs(f->type) >= MIN_ETHER_TYPE || (const void *)(l + 1) > f->end)
		return 0;
	if (l->dsap == SAP_IP)
		return 1;
	// RFC 1042 and 802.1H; an organization's own protocol is not IP
	return l->dsap == SAP_SNAP && !l->oui[0] && !l->oui[1] && (!l->oui[2] || l->oui[2] == 0xf8);
}

enum neighbour_discovery { ROUTER_SOLICITATION = 133, REDIRECT = 137 };

// is_nd tells neighbour discovery (RFC 4861): none is forwarded.
static __always_inline int is_nd(const struct packet *p)
{
	const struct ip6 *ip = p->addresses - __builtin_offsetof(struct ip6, source);
	const __u8 *type = (const void *)(ip + 1);

	return ip->next == ICMP6 && ip->hop_limit == 255 && (const void *)(type + 1) <= p->end &&
	       *type >= ROUTER_SOLICITATION && *type <= REDIRECT;
}

static __always_inline enum verdict underlay(enum direction d, const struct frame *f)
{
	struct packet p;

	if (f->type == bpf_htons(ETH_P_IP)) {
		if (!dissect4(&p, f))
			return PROTECTED;
		return tunnel(d, f, &p, 4) ? TUNNEL : in_clear(&p, 4);
	}
	if (f->type == bpf_htons(ETH_P_IPV6)) {
		if (!dissect6(&p, f))
			return PROTECTED;
		if (is_nd(&p))
			return CLEAR;
		return tunnel(d, f, &p, 6) ? TUNNEL : in_clear(&p, 6);
	}
	return conceals(f) ? PROTECTED : CLEAR;
}
