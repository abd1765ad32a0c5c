package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Ends are the addresses between which a tunnel's packet goes, of UDP with the
// ports, and the DSCP of its outer header.
type Ends struct {
	From string `json:"from"`
	To   string `json:"to"`
	DSCP uint8  `json:"dscp,omitempty"`
}

func (e *Ends) text(b *strings.Builder) {
	fmt.Fprintf(b, " %s > %s", e.From, e.To)
	if e.DSCP != 0 {
		fmt.Fprintf(b, " dscp %d", e.DSCP)
	}
}

// Order is where a packet stands among those of its SA or session.
type Order struct {
	// Gap is how many numbers were left out before this one; they may come later.
	Gap uint64 `json:"gap,omitempty"`
	// Repeated: the number was seen before.
	Repeated bool `json:"repeated,omitempty"`
}

func (o *Order) text(b *strings.Builder) {
	if o.Gap > 0 {
		fmt.Fprintf(b, ", %d left out before it", o.Gap)
	}
	if o.Repeated {
		b.WriteString(", repeated")
	}
}

// ESP is what an ESP packet tells (RFC 4303, 2), by itself or in UDP (RFC 3948).
type ESP struct {
	Ends
	SPI             string `json:"spi,omitempty"`      // 8 hex digits; none of a later fragment
	Sequence        uint32 `json:"sequence,omitempty"` // the low 32 bits, if it has more
	UDPEncapsulated bool   `json:"udp_encapsulated"`
	Length          int    `json:"length"` // octets, from the SPI on
	Fragment        bool   `json:"fragment,omitempty"`
	Order
}

// espSA is an SA by what a packet tells of it: the SPI is the receiver's.
type espSA struct {
	to  netip.Addr
	spi uint32
}

// espSeen is what was seen of one.
type espSeen struct {
	sequence
	packets, udp int
}

// frameESP explains the packet d.
func (in *Inspector) frameESP(r *Record, d *datagram, w whole) {
	in.tunnels.esp++
	e := &ESP{Ends: d.ends(), UDPEncapsulated: d.protocol == protoUDP, Length: d.length, Fragment: d.later}
	r.Kind, r.ESP = KindESP, e
	if e.UDPEncapsulated {
		in.tunnels.espUDP++
	}
	switch {
	case d.later:
		return
	case len(d.payload) < 8 && w != entire: // the error says that it is cut
		return
	case len(d.payload) < 8:
		r.Error = fmt.Sprintf("an ESP packet of %d octets has no SPI and sequence number", len(d.payload))
		in.tunnels.malformed++
		return
	}
	spi := binary.BigEndian.Uint32(d.payload)
	e.SPI, e.Sequence = fmt.Sprintf("%08x", spi), binary.BigEndian.Uint32(d.payload[4:])
	if spi < 256 {
		r.Error = fmt.Sprintf("SPI %d is reserved (RFC 4303, 2.1)", spi)
		in.tunnels.malformed++
		return
	}
	s := in.tunnels.sa(espSA{d.to, spi})
	if s == nil {
		return
	}
	s.packets++
	if e.UDPEncapsulated {
		s.udp++
	}
	n := s.extend(e.Sequence)
	if n == 0 {
		r.Error = "sequence number 0 is never sent: the first is 1 (RFC 4303, 2.2)"
		in.tunnels.malformed++
		return
	}
	e.Gap, e.Repeated = s.note(n)
}

func (e *ESP) text(b *strings.Builder) {
	e.Ends.text(b)
	if e.UDPEncapsulated {
		b.WriteString(" in UDP")
	}
	switch {
	case e.Fragment:
		b.WriteString(" a later fragment")
	case e.SPI != "":
		fmt.Fprintf(b, " spi %s sequence %d", e.SPI, e.Sequence)
	}
	fmt.Fprintf(b, ", %d octets", e.Length)
	e.Order.text(b)
}
