// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// A SecY in user space: its AF_XDP sockets take MACsec frames from the filter,
// and what it transmits with them meets no hook of ours.
#pragma once

#include "sa.h"

#define QUEUES 64

// What fits in a chunk of 4 KiB after the headroom that the kernel keeps there
// (XDP_PACKET_HEADROOM).
#define MAX_SOCKET_FRAME (4096 - 256)

// The socket for each RX queue. Without one, frames pass to the stack.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

// MACsec frames that user space has sent, which counts them itself, in mapped
// memory. No program reads it: the loader binds it to them.
struct sent {
	struct counter all;
	__u32 counter[4]; // of each AN of the port's own SC, as struct sc has them
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sent);
} sent SEC(".maps");

// The same by SA, beside what sas has, by one for all CPUs; seen is in ns since 1970.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_SAS);
	__type(key, __u32);
	__type(value, struct numbered);
} sent_sas SEC(".maps");
