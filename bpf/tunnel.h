// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//go:build ignore

// A tunnel's own flows: ESP by its SPI, IKE and WireGuard by their ports. Each
// has, for each direction, a counter of its own.
#pragma once

#include "ip.h"
#include "numbered.h"

enum flow_kind {
	FLOW_ESP,  // selector: SPI; 0 is any, and what a later fragment has
	FLOW_UDP,  // selector: source port, destination port
	FLOW_ROAM, // selector: 0 and the local port; of the addresses the remote is 0
};

// direction is in the key: with it source and destination are taken as they
// are, and each direction has its entry.
struct flow4 {
	__be64 addresses;
	__be32 selector;
	__u32 kind; // << 1 | direction
};

struct flow6 {
	__be64 addresses[4];
	__be32 selector;
	__u32 kind;
};

struct flow {
	__u32 counter;
	__u32 label; // user space's: what it is
};

#define MAX_FLOWS 32768

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct flow4);
	__type(value, struct flow);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct flow6);
	__type(value, struct flow);
} flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u32);
	__type(value, struct numbered);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} flow_firsts SEC(".maps");

struct esp { // RFC 4303 2
	__be32 spi;
	__be32 sequence;
};

struct udp {
	__be32 ports; // source, destination
	__be16 length;
	__be16 checksum;
};

// Where ESP and IKE share a port (RFC 3948): IKE has four octets 0 where ESP has
// its SPI; a keepalive is an octet 0xff.
#define PORTS_4500 bpf_htonl(4500 << 16 | 4500)
#define KEEPALIVE 0xff

struct selection {
	__be32 selector;
	__u32 kind;
	__u32 sequence; // ESP: if has_sequence
	__u32 has_sequence;
};

static __always_inline void select_esp(struct selection *s, const struct esp *e)
{
	s->kind = FLOW_ESP;
	s->selector = e->spi;
	s->sequence = bpf_ntohl(e->sequence);
	s->has_sequence = 1;
}

// select_flow is 0 for what is no tunnel's.
static __always_inline int select_flow(struct selection *s, const struct packet *p)
{
	const struct udp *u = p->at;
	const __u8 *inner = (const void *)(u + 1);

	if (p->protocol == ESP) {
		s->kind = FLOW_ESP;
		s->selector = 0;
		if (p->later)
			return 1;
		if (p->at + sizeof(struct esp) > p->end)
			return 0;
		select_esp(s, p->at);
		return s->selector != 0;
	}
	if (p->protocol != UDP || p->later || (const void *)(u + 1) > p->end)
		return 0;
	s->kind = FLOW_UDP;
	s->selector = u->ports;
	if (u->ports != PORTS_4500)
		return 1;
	if (u->length == bpf_htons(sizeof(*u) + 1))
		return (const void *)(inner + 1) <= p->end && *inner == KEEPALIVE;
	if ((const void *)(inner + sizeof(struct esp)) > p->end)
		return 0;
	if (*(const __be32 *)inner)
		select_esp(s, (const void *)inner);
	return 1;
}

// What a WireGuard message is by (its paper, 5.4): a type and three octets 0,
// in the order of little-endian, and octets that it has at least.
static __always_inline int is_wireguard(const struct packet *p)
{
	const struct udp *u = p->at;
	const __u32 *type = (const void *)(u + 1);
	__u32 octets;

	if ((const void *)(type + 1) > p->end)
		return 0;
	octets = bpf_ntohs(u->length) - sizeof(*u);
	switch (*type) {
	case 1:
		return octets == 148;
	case 2:
		return octets == 92;
	case 3:
		return octets == 64;
	case 4:
		return octets >= 32;
	}
	return 0;
}

// local_port is a FLOW_ROAM's selector.
static __always_inline __be32 local_port(enum direction d, __be32 ports)
{
	return d == INGRESS ? ports & bpf_htonl(0xffff) : bpf_htonl(bpf_ntohl(ports) >> 16);
}

static __always_inline const struct flow *find4(enum direction d, const struct packet *p, const struct selection *s)
{
	const __be32 *a = &((const struct ip4 *)p->ip)->source;
	struct flow4 k = {*(const __be64 *)a, s->selector, s->kind << 1 | d};
	const struct flow *f = bpf_map_lookup_elem(&flows4, &k);

	if (f)
		return f;
	if (s->kind == FLOW_ESP) {
		if (!s->selector)
			return 0;
		k.selector = 0;
	} else if (is_wireguard(p)) {
		k.addresses &= d == INGRESS ? 0xffffffffULL << 32 : 0xffffffff;
		k.selector = local_port(d, s->selector);
		k.kind = FLOW_ROAM << 1 | d;
	} else {
		return 0;
	}
	return bpf_map_lookup_elem(&flows4, &k);
}

static __always_inline const struct flow *find6(enum direction d, const struct packet *p, const struct selection *s)
{
	const __be64 *a = ((const struct ip6 *)p->ip)->source;
	struct flow6 k = {{a[0], a[1], a[2], a[3]}, s->selector, s->kind << 1 | d};
	const struct flow *f = bpf_map_lookup_elem(&flows6, &k);

	if (f)
		return f;
	if (s->kind == FLOW_ESP) {
		if (!s->selector)
			return 0;
		k.selector = 0;
	} else if (is_wireguard(p)) {
		if (d == INGRESS)
			k.addresses[0] = k.addresses[1] = 0;
		else
			k.addresses[2] = k.addresses[3] = 0;
		k.selector = local_port(d, s->selector);
		k.kind = FLOW_ROAM << 1 | d;
	} else {
		return 0;
	}
	return bpf_map_lookup_elem(&flows6, &k);
}

// tunnel tells whether a packet is of a tunnel's flow, and counts it there.
static __always_inline int tunnel(enum direction d, const struct frame *f, const struct packet *p, __u32 family)
{
	const struct flow *w;
	struct selection s = {};

	if (!select_flow(&s, p))
		return 0;
	w = family == 4 ? find4(d, p, &s) : find6(d, p, &s);
	if (!w)
		return 0;
	count_numbered(&flows, &flow_firsts, &w->counter, f, s.has_sequence, s.sequence);
	return 1;
}
