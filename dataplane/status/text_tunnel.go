package status

import (
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"
)

func (t Tunnel) write(b *strings.Builder, now time.Time) {
	state := t.State
	if t.Since != nil {
		state += " for " + Age(now.Sub(*t.Since))
	}
	if t.Passing == PassingClear {
		state += ", PASSING CLEAR TRAFFIC"
	}
	fmt.Fprintf(b, "%s: %s\n", t.Name, state)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", label, fmt.Sprintf(format, args...))
	}
	for _, c := range t.ClearRoutes {
		line("CLEAR ROUTE", "%s", c)
	}
	if t.Problem != "" {
		line("why", "%s", t.Problem)
	}
	if t.Remedy != "" {
		line("remedy", "%s", t.Remedy)
	}
	if t.KeysError != "" {
		line("keys", "%s", t.KeysError)
	}
	what := t.Interface
	if what == "" {
		what = "no interface"
	}
	line("interface", "%s on %s, %s, secure: %s", what, t.Device, t.Type, t.Secure)
	if t.DataplaneReason != "" {
		line("dataplane", "%s, %s", t.Dataplane, t.DataplaneReason)
	}
	line("between", "%s and %s", t.Local, t.Remote)
	line("protects", "%s", some(t.Protect))
	if t.PublicKey != "" {
		line("public key", "%s", t.PublicKey)
	}
	for _, m := range t.Members {
		m.lines(line, now)
	}
	t.carried(line, now)
	counters(line, "filter", t.Filter)
	if t.Fenced != nil && t.Fenced.Packets > 0 {
		line("fenced", "%d packets of what tunnels protect, %d octets, kept off other interfaces", t.Fenced.Packets, t.Fenced.Octets)
	}
	for i, e := range t.Events[:min(len(t.Events), 3)] {
		line([]string{"dropped", "", ""}[i], "%s", e.text(now))
	}
	if t.Enforcement != nil {
		line("enforced", "%s", t.Enforcement)
	}
	w.Flush()
}

// carried are the flows on the underlay that had traffic, the first of them.
func (t Tunnel) carried(line func(label, format string, args ...any), now time.Time) {
	const most = 12
	label, more := "carried by", 0
	for _, f := range t.Flows {
		if f.LastSeen == nil {
			continue
		}
		if more++; more > most {
			continue
		}
		spi, missing := "", ""
		if f.SPI != "" {
			spi = " SPI " + f.SPI
		}
		if f.Gaps > 0 {
			missing = fmt.Sprintf(", about %d missing", f.Gaps)
		}
		line(label, "%s%s %s, %s with %s: packets %d, octets %d, %s ago%s", f.Protocol, spi, f.Direction, End(f.Local), End(f.Remote), f.Packets, f.Octets, Age(now.Sub(*f.LastSeen)), missing)
		label = ""
	}
	if more > most {
		line("", "and %d more", more-most)
	}
}

// some are the first of a list, and how many more there are.
func some(list []string) string {
	const most = 8
	switch n := len(list); {
	case n == 0:
		return "nothing"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), n-most)
	}
	return strings.Join(list, ", ")
}

func (m Member) lines(line func(label, format string, args ...any), now time.Time) {
	words := []string{"not live"}
	if m.Live {
		words[0] = "live"
	}
	if m.Interface != "" {
		words = append(words, m.Interface)
	}
	if m.Remote != "" {
		words = append(words, "with "+m.Remote)
	}
	if m.Handshake != nil {
		words = append(words, "handshake "+Age(now.Sub(*m.Handshake))+" ago")
	}
	if m.KeyID != "" {
		words = append(words, "PSK "+m.KeyID)
	}
	if m.RTT != nil {
		words = append(words, "round trip "+time.Duration(*m.RTT*float64(time.Second)).Round(10*time.Microsecond).String())
	}
	if m.ProbeLost != nil && *m.ProbeLost > 0 {
		words = append(words, fmt.Sprintf("%.0f %% of probes lost", 100**m.ProbeLost))
	}
	line(fmt.Sprintf("member %d", m.N), "%s", strings.Join(words, ", "))
	if m.Problem != "" {
		line("  why", "%s", m.Problem)
	}
	if len(m.Peers) > 1 {
		for _, p := range m.Peers {
			line("  peer", "%s", p.text(now))
		}
	}
	if m.IKE != "" || m.ESP != "" {
		line("  suites", "IKE %s, ESP %s, rekeyed %d times", m.IKE, m.ESP, m.Rekeys)
	}
	if len(m.SPIIn)+len(m.SPIOut) > 0 {
		line("  SPIs", "in %s, out %s", strings.Join(m.SPIIn, " "), strings.Join(m.SPIOut, " "))
	}
	if m.RxPackets+m.TxPackets == 0 && m.RxOctets+m.TxOctets > 0 { // WireGuard counts none
		line("  traffic", "in %d octets, out %d", m.RxOctets, m.TxOctets)
	} else {
		line("  traffic", "in %d octets in %d packets, out %d in %d", m.RxOctets, m.RxPackets, m.TxOctets, m.TxPackets)
	}
}

// End is one end of a Flow in words: ESP has no ports.
func End(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil && a.Port() == 0 {
		return a.Addr().String()
	}
	return s
}

func (p TunnelPeer) text(now time.Time) string {
	words := []string{p.PublicKey, "not live"}
	if p.Live {
		words[1] = "live"
	}
	if p.Remote != "" {
		words = append(words, "with "+p.Remote)
	}
	if p.Handshake != nil {
		words = append(words, "handshake "+Age(now.Sub(*p.Handshake))+" ago")
	}
	if p.KeyID != "" {
		words = append(words, "PSK "+p.KeyID)
	}
	text := strings.Join(words, ", ")
	if p.Problem != "" {
		text += "; " + p.Problem
	}
	return text
}
