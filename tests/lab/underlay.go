package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// ClearMark is in the packets that InjectClear sends: on an underlay it is in
// clear wherever it is found.
var ClearMark = []byte("in clear: no tunnel has encrypted this")

// UnderlayCount is packets on an underlay by kind.
type UnderlayCount struct {
	WireGuard, ESP, IKE uint64
	Other               uint64 // ARP, and what else there may be in clear
	Fragments           uint64 // of IPv4, whatever is in them
	// Protected are from or to a protected network, or have ClearMark: in clear.
	// The appliance has sent them; Arriving are those that come to it.
	Protected, Arriving uint64
}

// UnderlayWire counts what passes an appliance's cable, both directions.
type UnderlayWire struct {
	tap *Tap

	mu    sync.Mutex
	n     UnderlayCount
	clear []byte          // the last that is protected
	tos   map[byte]uint64 // tunnels' packets by the outer header's DS field
	long  int             // the longest IP packet of a tunnel
}

// WatchUnderlay begins to count at the bridge's end of appliance i's cable.
func (l *Lab) WatchUnderlay(i int) (*UnderlayWire, error) {
	w := &UnderlayWire{tos: map[byte]uint64{}}
	var err error
	if w.tap, err = listenIn(l.bridge, fmt.Sprintf("p%d", i), nil, w.count); err != nil {
		return nil, fmt.Errorf("listening on the bridge: %w", err)
	}
	return w, nil
}

func (w *UnderlayWire) count(f Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p, ok := parse4(f.Octets); ok && p.fragment {
		w.n.Fragments++
	}
	marked := bytes.Contains(f.Octets, ClearMark)
	switch p, ok := parse4(f.Octets); {
	case marked || ok && (inside(p.from) || inside(p.to)):
		if f.Outgoing { // the bridge sends it
			w.n.Arriving++
			return
		}
		w.n.Protected++
		w.clear = append(w.clear[:0], f.Octets[:min(len(f.Octets), 80)]...)
	case ok && p.kind() != nil:
		*p.kind()(&w.n)++
		w.tos[p.tos]++
		w.long = max(w.long, p.length)
	default:
		w.n.Other++
	}
}

// packet4 is what is looked at of an IPv4 packet.
type packet4 struct {
	from, to netip.Addr
	tos      byte
	length   int
	protocol byte
	port     uint16 // of the destination; 0: a later fragment
	fragment bool
	ike      bool // with the marker that it is no ESP (RFC 3948 2.2)
}

// parse4 reads an untagged frame.
func parse4(frame []byte) (p packet4, ok bool) {
	if len(frame) < 34 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return p, false
	}
	h := frame[14:]
	p.from, p.to = netip.AddrFrom4([4]byte(h[12:16])), netip.AddrFrom4([4]byte(h[16:20]))
	p.tos, p.protocol, p.length = h[1], h[9], int(binary.BigEndian.Uint16(h[2:]))
	p.fragment = binary.BigEndian.Uint16(h[6:])&0x3fff != 0 // more, or an offset
	if at := int(h[0]&15) * 4; binary.BigEndian.Uint16(h[6:])&0x1fff == 0 && len(h) >= at+4 {
		p.port = binary.BigEndian.Uint16(h[at+2:])
		p.ike = p.port == 4500 && len(h) >= at+12 && binary.BigEndian.Uint32(h[at+8:]) == 0
	}
	return p, true
}

// kind is the counter of what a tunnel sends; nil if none does.
func (p packet4) kind() func(*UnderlayCount) *uint64 {
	const esp, udp = 50, 17
	switch {
	case p.protocol == esp, p.protocol == udp && p.port == 4500 && !p.ike:
		return func(n *UnderlayCount) *uint64 { return &n.ESP }
	case p.protocol == udp && (p.port == 500 || p.ike):
		return func(n *UnderlayCount) *uint64 { return &n.IKE }
	case p.protocol == udp && p.port >= (Tunnel{}).Port():
		return func(n *UnderlayCount) *uint64 { return &n.WireGuard }
	}
	return nil
}

func inside(a netip.Addr) bool {
	return slices.ContainsFunc(protected, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Count is the packets so far.
func (w *UnderlayWire) Count() UnderlayCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// DS are the tunnels' packets so far by the DS field of their outer header.
func (w *UnderlayWire) DS() map[byte]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[byte]uint64{}
	for tos, n := range w.tos {
		all[tos] = n
	}
	return all
}

// Longest is the longest packet of a tunnel so far, in octets of IP.
func (w *UnderlayWire) Longest() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.long
}

// LastClear is the head of the last protected frame in clear, for an error's sake.
func (w *UnderlayWire) LastClear() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.clear)
}

// Close stops counting.
func (w *UnderlayWire) Close() error { return w.tap.Close() }
