package gso

import (
	"encoding/binary"
	"math/bits"
)

// flow names a TCP connection or a UDP flow: addresses, ports, protocol.
type flow struct {
	src, dst [2]uint64 // IPv4's in the second word
	ports    uint32
	proto    uint8
	v6       bool
}

// flowOf reads the flow of a TCP or UDP frame.
func flowOf(frame []byte, l *layout) flow {
	f := flow{ports: binary.BigEndian.Uint32(frame[l.l4:]), proto: l.proto, v6: l.v6}
	if l.v6 {
		ip := frame[l.l3 : l.l3+ipv6Len]
		f.src = [2]uint64{binary.BigEndian.Uint64(ip[8:]), binary.BigEndian.Uint64(ip[16:])}
		f.dst = [2]uint64{binary.BigEndian.Uint64(ip[24:]), binary.BigEndian.Uint64(ip[32:])}
	} else {
		ip := frame[l.l3 : l.l3+ipv4Len]
		f.src[1], f.dst[1] = uint64(binary.BigEndian.Uint32(ip[12:])), uint64(binary.BigEndian.Uint32(ip[16:]))
	}
	return f
}

// hash mixes the flow well enough to spread friendly ones. Hostile ones may
// all fall into one set of the table, and then are joined less.
func (f *flow) hash() uint64 {
	const a, b = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93 // odd, of random bits
	hi, lo := bits.Mul64(f.src[0]^f.dst[0]^uint64(f.ports)^a, f.src[1]^bits.RotateLeft64(f.dst[1], 32)^b)
	return (hi ^ lo) * a
}

// ways is how many flows share a set of the table.
const ways = 4

// slot is the open packet of a flow.
type slot struct {
	flow   flow
	round  uint32 // occupied while it is the table's
	packet int32  // index in Coalescer.packets
}

// table finds the open packet of a flow, at most one, in constant time: a flow
// has one set, and one that finds its set full takes the place of another,
// whose packet is closed by that.
type table struct {
	sets  [][ways]slot // a power of two
	round uint32
}

func newTable(flows int) table {
	n := 1
	for n*ways < flows {
		n *= 2
	}
	return table{sets: make([][ways]slot, n), round: 1}
}

// clear closes all packets.
func (t *table) clear() {
	t.round++
	if t.round == 0 { // 2^32 rounds later old slots would come to life
		clear(t.sets)
		t.round = 1
	}
}

// find returns the slot of f: with found, its open packet's; else one to take.
func (t *table) find(f *flow) (s *slot, found bool) {
	h := f.hash()
	set := &t.sets[h>>32&uint64(len(t.sets)-1)]
	s = &set[h&(ways-1)]
	for i := range set {
		switch {
		case set[i].round != t.round:
			s = &set[i]
		case set[i].flow == *f:
			return &set[i], true
		}
	}
	return s, false
}
