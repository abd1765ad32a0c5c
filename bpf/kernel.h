// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// What is used of the kernel's interface to BPF programs (include/uapi/
// linux/bpf.h, if_ether.h, pkt_cls.h), so that the object is the same
// whatever headers the machine has that makes it.
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum bpf_map_flags { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1 << 10 };

enum bpf_update_flags { BPF_ANY, BPF_NOEXIST };

enum bpf_skb_store_flags { BPF_F_RECOMPUTE_CSUM = 1 };

enum xdp_action { XDP_DROP = 1, XDP_PASS = 2 };

// As a tc filter's verdict: on to the next filter. TCX calls it TCX_NEXT.
enum tc_action { TC_ACT_UNSPEC = -1, TC_ACT_SHOT = 2 };

enum ether_type {
	ETH_P_IP = 0x0800,
	ETH_P_ARP = 0x0806,
	ETH_P_TEB = 0x6558, // Ethernet
	ETH_P_8021Q = 0x8100,
	ETH_P_IPV6 = 0x86dd,
	ETH_P_SLOW = 0x8809, // LACP, OAM and others (802.3 57A)
	ETH_P_PAE = 0x888e,
	ETH_P_8021AD = 0x88a8,
	ETH_P_LLDP = 0x88cc,
	ETH_P_MACSEC = 0x88e5,
	ETH_P_1588 = 0x88f7,
	ETH_P_CFM = 0x8902,
	ETH_P_LOOPBACK = 0x9000, // of Ethernet's configuration testing
	ETH_P_QINQ1 = 0x9100,    // before 802.1ad
};

struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

// The kernel's own, by BTF: found in whatever version by its names.
struct xdp_buff {
	__u32 flags;
} __attribute__((preserve_access_index));

enum xdp_buff_flags { XDP_FLAGS_HAS_FRAGS = 1 };

// A kfunc since 6.2, and no call at all.
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 data_meta;
	__u64 flow_keys;
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	__u64 sk;
	__u32 gso_size;
};
_Static_assert(__builtin_offsetof(struct __sk_buff, data) == 76, "struct __sk_buff");
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_segs) == 164, "struct __sk_buff");
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_size) == 176, "struct __sk_buff");
