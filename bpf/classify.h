// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// The one decision: may this frame be on the wire of the port?
#pragma once

#include "frame.h"
#include "settings.h"
#include "underlay.h"
#include "verdict.h"

static __always_inline int same(const __u8 *address, const volatile __u8 *other)
{
	const __u16 *a = (const __u16 *)address;
	const volatile __u16 *b = (const volatile __u16 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static __always_inline int allowed(const struct frame *f)
{
	const struct ethernet *eth = start(f);

	if (!must.rules || (const void *)(eth + 1) > end(f))
		return 0;
	for (int i = 0; i < MAX_RULES; i++) {
		const volatile struct rule *r = &must.allow[i];
		const __u8 *subtype = (const void *)(eth + 1);

		if (i >= must.rules)
			return 0;
		asm volatile("" : "+r"(eth)); // reads it again: what the last rule found is nothing to the verifier
		if (eth->type != r->ether_type || !same(eth->destination, r->destination))
			continue;
		if (!r->has_subtype)
			return 1;
		if ((const void *)(subtype + 1) <= end(f) && *subtype == r->subtype)
			return 1;
	}
	return 0;
}

// classify judges a frame, not MACsec, that is behind its tags. MACsec may have tags
// in clear before it; nothing else may. Where nothing may pass in clear a tunnel may
// not either.
static __always_inline enum verdict classify(enum direction d, const struct frame *f)
{
	const struct ethernet *eth = f->eth;
	enum verdict v;

	if (must.underlay && !must.enforce && f->type != must.eapol_type) {
		v = underlay(d, f);
		return v == PROTECTED && f->tags == NO_TAG && allowed(f) ? ALLOWED : v;
	}
	if (f->tags != NO_TAG || is_tag(f->type))
		return must.enforce ? TAGGED : CLEAR;
	if (f->type == must.eapol_type) {
		if (same(eth->destination, must.eapol_destination))
			return EAPOL;
		if (d == INGRESS && same(eth->destination, must.port))
			return EAPOL;
		return must.enforce ? DROPPED : CLEAR;
	}
	if (!must.enforce)
		return CLEAR;
	return allowed(f) ? ALLOWED : DROPPED;
}
