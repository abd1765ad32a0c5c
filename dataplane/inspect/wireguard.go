package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// WireGuard is what a WireGuard message tells (WireGuard, Donenfeld 2017, 5.4).
type WireGuard struct {
	Ends
	Type string `json:"type"` // handshake_initiation, handshake_response, cookie_reply, data
	// SenderIndex and ReceiverIndex name the session to its two ends: 8 hex
	// digits.
	SenderIndex   string  `json:"sender_index,omitempty"`
	ReceiverIndex string  `json:"receiver_index,omitempty"`
	Counter       *uint64 `json:"counter,omitempty"`   // of data
	Keepalive     bool    `json:"keepalive,omitempty"` // data without data
	Length        int     `json:"length"`              // octets, of the message
	Order
}

// The types of a message, and their lengths; of data the least.
var wireGuardTypes = [...]struct {
	name   string
	length int
}{1: {"handshake_initiation", 148}, 2: {"handshake_response", 92}, 3: {"cookie_reply", 64}, 4: {"data", 32}}

const wireGuardData = 4

// wgSession is a session by what its data tell: the index is the receiver's.
type wgSession struct {
	to    netip.Addr
	index uint32
}

// wgSeen is what was seen of one.
type wgSeen struct {
	sequence
	packets, keepalives int
	// agreed: the handshake with this index was seen.
	agreed bool
}

// wgPair are two addresses between which WireGuard is spoken.
type wgPair struct{ from, to netip.AddrPort }

// isWireGuard tells a message by its form, since it has any port: type, three
// octets 0 and the length of the type. Data have no length of their own; where
// no other message was seen between the two, their counter is below 2^48, which
// takes a session of two minutes 2 * 10^12 packets a second.
func (in *Inspector) isWireGuard(d *datagram) bool {
	b := d.payload
	if len(b) < 4 || b[0] < 1 || b[0] > wireGuardData || b[1]|b[2]|b[3] != 0 || d.length < wireGuardTypes[b[0]].length {
		return false
	}
	if b[0] != wireGuardData {
		return d.length == wireGuardTypes[b[0]].length
	}
	from, to := netip.AddrPortFrom(d.from, d.fromPort), netip.AddrPortFrom(d.to, d.toPort)
	if in.tunnels.pairs[wgPair{from, to}] {
		return true
	}
	return len(b) >= 16 && binary.LittleEndian.Uint64(b[8:])>>48 == 0 && d.fromPort != 53 && d.toPort != 53
}

// frameWireGuard explains the message in d, whose form isWireGuard knows.
func (in *Inspector) frameWireGuard(r *Record, d *datagram) {
	b, t := d.payload, &in.tunnels
	kind := wireGuardTypes[b[0]]
	m := &WireGuard{Ends: d.ends(), Type: kind.name, Length: d.length}
	r.Kind, r.WireGuard = KindWireGuard, m
	t.messages[b[0]]++
	word := func(at int) (index uint32, text string) {
		if len(b) < at+4 {
			return 0, "" // cut, which the error tells
		}
		index = binary.LittleEndian.Uint32(b[at:])
		return index, fmt.Sprintf("%08x", index)
	}
	switch b[0] {
	case 1:
		_, m.SenderIndex = word(4)
		t.speak(d)
	case 2:
		sender, text := word(4)
		m.SenderIndex = text
		receiver, text := word(8)
		m.ReceiverIndex = text
		t.speak(d)
		// The responder has data under its index, and the initiator under its own.
		for _, s := range []*wgSeen{t.session(wgSession{d.from, sender}), t.session(wgSession{d.to, receiver})} {
			if s != nil && m.ReceiverIndex != "" {
				s.agreed = true
			}
		}
	case 3:
		_, m.ReceiverIndex = word(4)
		t.speak(d)
	case wireGuardData:
		index, text := word(4)
		m.ReceiverIndex, m.Keepalive = text, d.length == kind.length
		if len(b) < 16 {
			return
		}
		n := binary.LittleEndian.Uint64(b[8:])
		m.Counter = &n
		s := t.session(wgSession{d.to, index})
		if s == nil {
			return
		}
		s.packets++
		if m.Keepalive {
			s.keepalives++
		}
		m.Gap, m.Repeated = s.note(n)
		if !s.agreed {
			r.Hint = "by its form alone: the handshake of this session is not in the capture"
		}
	}
}

func (m *WireGuard) text(b *strings.Builder) {
	m.Ends.text(b)
	name := strings.ReplaceAll(m.Type, "_", " ")
	if m.Keepalive {
		name = "keepalive"
	}
	fmt.Fprintf(b, " %s", name)
	if m.SenderIndex != "" {
		fmt.Fprintf(b, " sender %s", m.SenderIndex)
	}
	if m.ReceiverIndex != "" {
		fmt.Fprintf(b, " receiver %s", m.ReceiverIndex)
	}
	if m.Counter != nil {
		fmt.Fprintf(b, " counter %d", *m.Counter)
	}
	fmt.Fprintf(b, ", %d octets", m.Length)
	m.Order.text(b)
}
