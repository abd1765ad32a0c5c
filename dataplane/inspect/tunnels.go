package inspect

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// UDP ports of IKE (RFC 7296, 2; RFC 3948).
const (
	portIKE  = 500
	portNATT = 4500
)

// tunnels is what was seen of IPsec and WireGuard, and what IP is in clear
// beside them. Its maps have maxTallies entries at the most.
type tunnels struct {
	esp, espUDP int
	malformed   int
	sas         map[espSA]*espSeen
	exchanges   map[string]int // messages by exchange
	refusals    map[string]int // notifications of errors in clear
	messages    [wireGuardData + 1]int
	sessions    map[wgSession]*wgSeen
	pairs       map[wgPair]bool // where handshakes went, and back
	clear       map[talk]int
	fragments   int // later ones of UDP, whose ports are not known
}

// talk is IP in clear: from whom to whom, and what.
type talk struct {
	from, to netip.Addr
	protocol uint8
}

func newTunnels() tunnels {
	return tunnels{
		sas: map[espSA]*espSeen{}, exchanges: map[string]int{}, refusals: map[string]int{},
		sessions: map[wgSession]*wgSeen{}, pairs: map[wgPair]bool{}, clear: map[talk]int{},
	}
}

// frameTunnel explains an IP packet if a tunnel's: else r stays as it is.
func (in *Inspector) frameTunnel(r *Record, etherType uint16, data []byte, w whole) {
	d, ok := parseIP(etherType, data)
	if !ok {
		return
	}
	natt := d.protocol == protoUDP && (d.fromPort == portNATT || d.toPort == portNATT)
	b := d.payload
	switch {
	case d.protocol == protoESP:
		in.frameESP(r, &d, w)
	case d.protocol != protoUDP:
	case d.later:
		r.Hint = "a later fragment of UDP: what it carries is not known"
		in.tunnels.fragments++
	case natt && d.length == 1 && len(b) == 1 && b[0] == 0xff:
		r.Kind, r.IKE = KindIKE, &IKE{Ends: d.ends(), UDPEncapsulated: true, Exchange: natKeepalive, Length: 1}
		in.tunnels.exchange(natKeepalive)
	case natt && len(b) >= 4 && binary.BigEndian.Uint32(b) == 0:
		in.frameIKE(r, &d, b[4:], true, w)
	case natt && d.length > 0:
		in.frameESP(r, &d, w)
	case (d.fromPort == portIKE || d.toPort == portIKE) && d.length > 0:
		in.frameIKE(r, &d, b, false, w)
	case in.isWireGuard(&d):
		in.frameWireGuard(r, &d)
	}
	if r.Kind == KindClear {
		in.tunnels.talked(talk{d.from, d.to, d.protocol})
	}
}

// room is the entry of m at k, which it makes; nil if there are too many.
func room[K comparable, V any](m map[K]*V, k K) *V {
	if m[k] == nil && len(m) < maxTallies {
		m[k] = new(V)
	}
	return m[k]
}

func (t *tunnels) sa(k espSA) *espSeen         { return room(t.sas, k) }
func (t *tunnels) session(k wgSession) *wgSeen { return room(t.sessions, k) }
func (t *tunnels) exchange(name string)        { t.exchanges[name]++ } // names are few

// refusal counts a notification in clear that is an error.
func (t *tunnels) refusal(name string) {
	for kind, n := range notifications {
		if n == name && kind < 16384 {
			t.refusals[name]++
		}
	}
}

// speak notes that the two ends of d speak WireGuard.
func (t *tunnels) speak(d *datagram) {
	from, to := netip.AddrPortFrom(d.from, d.fromPort), netip.AddrPortFrom(d.to, d.toPort)
	if len(t.pairs) < maxTallies {
		t.pairs[wgPair{from, to}], t.pairs[wgPair{to, from}] = true, true
	}
}

func (t *tunnels) talked(k talk) {
	if _, known := t.clear[k]; known || len(t.clear) < maxTallies {
		t.clear[k]++
	}
}

// any tells whether a tunnel was seen.
func (t *tunnels) any() bool { return t.esp+len(t.exchanges) > 0 || t.wireGuard() > 0 }

func (t *tunnels) wireGuard() (n int) {
	for _, m := range t.messages {
		n += m
	}
	return n
}

// listed is how many of a kind the verdict names one by one.
const listed = 16

// verdict sums up the tunnels, a line each.
func (t *tunnels) verdict() (lines []string) {
	if !t.any() {
		return nil
	}
	if t.esp > 0 {
		lines = append(lines, fmt.Sprintf("ESP: %s of %s, %d in UDP", count(t.esp, "packet"), count(len(t.sas), "SA"), t.espUDP))
		keys := slices.SortedFunc(maps.Keys(t.sas), func(a, b espSA) int {
			return cmp.Or(t.sas[b].packets-t.sas[a].packets, a.to.Compare(b.to), cmp.Compare(a.spi, b.spi))
		})
		lines = append(lines, few(keys, "SA", func(k espSA) string {
			return fmt.Sprintf("SPI %08x to %s: %s, sequence %s", k.spi, k.to, count(t.sas[k].packets, "packet"), &t.sas[k].sequence)
		})...)
	}
	if len(t.exchanges) > 0 {
		lines = append(lines, "IKE: "+tallied(t.exchanges))
	}
	if len(t.refusals) > 0 {
		lines = append(lines, "  refused in clear: "+tallied(t.refusals))
	}
	if n := t.wireGuard(); n > 0 {
		lines = append(lines, fmt.Sprintf("WireGuard: %s: handshakes begun %d, answered %d, cookie replies %d, data %d",
			count(n, "message"), t.messages[1], t.messages[2], t.messages[3], t.messages[4]))
		if t.messages[1] > 0 && t.messages[2] == 0 {
			lines = append(lines, "  no handshake was answered: the peer is not there, does not know this public key, or has another PSK")
		}
		lines = append(lines, t.wgSessions()...)
	}
	if t.malformed > 0 {
		lines = append(lines, fmt.Sprintf("malformed: %s of tunnels", count(t.malformed, "packet")))
	}
	return lines
}

func (t *tunnels) wgSessions() []string {
	keys := slices.SortedFunc(maps.Keys(t.sessions), func(a, b wgSession) int {
		return cmp.Or(t.sessions[b].packets-t.sessions[a].packets, a.to.Compare(b.to), cmp.Compare(a.index, b.index))
	})
	keys = slices.DeleteFunc(keys, func(k wgSession) bool { return t.sessions[k].packets == 0 })
	return few(keys, "session", func(k wgSession) string {
		s := t.sessions[k]
		text := fmt.Sprintf("receiver %08x at %s: %s, %s, counter %s", k.index, k.to, count(s.packets, "packet"), count(s.keepalives, "keepalive"), &s.sequence)
		if !s.agreed {
			text += "; its handshake is not in the capture"
		}
		return text
	})
}

// beside says what IP is in clear where there are tunnels.
func (t *tunnels) beside() (lines []string) {
	if !t.any() {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(t.clear), func(a, b talk) int {
		return cmp.Or(t.clear[b]-t.clear[a], a.from.Compare(b.from), a.to.Compare(b.to), cmp.Compare(a.protocol, b.protocol))
	})
	lines = few(keys, "conversation", func(k talk) string {
		return fmt.Sprintf("in clear: %s > %s %s, %s", k.from, k.to, protocolName(k.protocol), count(t.clear[k], "frame"))
	})
	if t.fragments > 0 {
		lines = append(lines, fmt.Sprintf("  of them %s of UDP, which may be a tunnel's", count(t.fragments, "later fragment")))
	}
	return lines
}

// few are the lines of the first of a list, and how many more there are.
func few[T any](list []T, what string, line func(T) string) (lines []string) {
	for _, e := range list[:min(len(list), listed)] {
		lines = append(lines, "  "+line(e))
	}
	if n := len(list) - listed; n > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more %ss", n, what))
	}
	return lines
}

// tallied lists what was counted by name.
func tallied(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}
