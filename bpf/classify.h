// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The one decision: may these octets be on the wire of a must-secure port?
#pragma once

#include "counters.h"
#include "settings.h"

enum direction { INGRESS, EGRESS };

static __always_inline int same(const __u8 *address, const volatile __u8 *other)
{
	const __u16 *a = (const __u16 *)address;
	const volatile __u16 *b = (const volatile __u16 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static __always_inline int allowed(const struct ethernet *eth, const void *end)
{
	for (int i = 0; i < MAX_RULES; i++) {
		const volatile struct rule *r = &must.allow[i];
		const __u8 *subtype = (const void *)(eth + 1);

		if (i >= must.rules)
			return 0;
		if (eth->type != r->ether_type || !same(eth->destination, r->destination))
			continue;
		if (!r->has_subtype)
			return 1;
		if ((const void *)(subtype + 1) <= end && *subtype == r->subtype)
			return 1;
	}
	return 0;
}

static __always_inline enum verdict classify(enum direction d, const void *frame, const void *end)
{
	const struct ethernet *eth = frame;

	if ((const void *)(eth + 1) > end)
		return DROPPED;
	if (eth->type == bpf_htons(ETH_P_MACSEC))
		return MACSEC;
	if (eth->type == must.eapol_type) {
		if (same(eth->destination, must.eapol_destination))
			return EAPOL;
		if (d == INGRESS && same(eth->destination, must.port))
			return EAPOL;
		return DROPPED;
	}
	if (eth->type == bpf_htons(ETH_P_8021Q) || eth->type == bpf_htons(ETH_P_8021AD) ||
	    eth->type == bpf_htons(ETH_P_QINQ1))
		return TAGGED;
	return allowed(eth, end) ? ALLOWED : DROPPED;
}

static __always_inline int passes(enum verdict v)
{
	return v <= ALLOWED;
}
