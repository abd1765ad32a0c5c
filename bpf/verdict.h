// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What becomes of a frame, and why.
#pragma once

enum direction { INGRESS, EGRESS, DIRECTIONS };

enum verdict {
	MACSEC,	       // passed: EtherType 0x88E5
	EAPOL,	       // passed: the configured EAPOL
	ALLOWED,       // passed: a protocol of the rules
	TUNNEL,	       // passed: a tunnel's own flow, on its underlay
	CLEAR,	       // passed: in clear, where that may be
	TAGGED,	       // dropped: a VLAN tag in clear, and no MACsec behind it
	DROPPED,       // dropped: anything else
	PROTECTED,     // dropped: of a prefix that may be in a tunnel only, or it cannot be told
	EAPOL_LIMITED, // dropped: EAPOL over the budget of who sends it
	VERDICTS,
};

#define passes(v) ((v) <= CLEAR)
