// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What the filter lets through besides MACsec. The loader writes it before
// the programs are loaded; it is constant from then on, and whoever finds the
// programs attached reads it back.
#pragma once

#include "kernel.h"

// MAGIC tells the settings of this filter from anybody else's: "lseal" and
// the version of the layout below, and of what else belongs to the filter: one
// with other settings is replaced. Version 1 had no maps for AF_XDP, version 2 did
// not know queues, version 3 counted by verdict alone.
#define MAGIC 0x6c7365616c000004ULL

#define MAX_RULES 16

// A protocol that is allowed in clear. Octets are in the order of the wire.
struct rule {
	__u8 destination[6];
	__be16 ether_type;
	__u8 subtype; // the octet after the EtherType, if has_subtype
	__u8 has_subtype;
};

struct settings {
	__u64 magic;
	__u8 eapol_destination[6];
	__be16 eapol_type;
	__u8 port[6]; // the port's own address
	__u16 rules;  // how many of allow are used
	__u32 enforce; // what may not pass is dropped; else it is counted as CLEAR
	__u32 underlay; // of a tunnel: what is protected may not pass
	struct rule allow[MAX_RULES];
	// No program reads what follows.
	__u64 queues; // RX, of the port when it was attached
	__u64 gro;    // 1: it joined what it received (GRO) before ingress by tc
};

const volatile struct settings must SEC(".rodata.settings") = {.magic = MAGIC};
