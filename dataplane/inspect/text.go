package inspect

import (
	"fmt"
	"strings"
)

// Text is the Record for a person: a line, and one more for what an MKPDU
// says of keys, or for an error or a hint.
func (r *Record) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5d %s %-6s", r.Frame, r.Time.UTC().Format("15:04:05.000000"), r.Kind)
	if r.hasMAC {
		fmt.Fprintf(&b, " %s > %s", r.Src(), r.Dst())
	}
	for _, v := range r.VLANs {
		fmt.Fprintf(&b, " vlan %d", v.VID)
		if v.TPID != "0x8100" {
			fmt.Fprintf(&b, " (%s)", v.TPID)
		}
	}
	switch r.Kind {
	case KindMKA:
		r.MKA.text(&b)
	case KindMACsec:
		r.MACsec.text(&b)
	case KindESP:
		r.ESP.text(&b)
	case KindIKE:
		r.IKE.text(&b)
	case KindWireGuard:
		r.WireGuard.text(&b)
	default:
		if r.Clear.EtherType != "" {
			fmt.Fprintf(&b, " ethertype %s", r.Clear.EtherType)
		}
	}
	for _, s := range []struct{ name, text string }{{"error", r.Error}, {"hint", r.Hint}} {
		if s.text != "" {
			fmt.Fprintf(&b, "\n      %s: %s", s.name, s.text)
		}
	}
	return b.String()
}

func (m *MKA) text(b *strings.Builder) {
	if m.cut {
		b.WriteString(" icv not captured")
		if m.CKN != "" {
			fmt.Fprintf(b, " ckn %s sci %s mi %s mn %d v%d prio %d", m.CKN, m.SCI, m.MI, m.MN, m.Version, m.Priority)
		}
		return
	}
	role := ""
	if m.KeyServer {
		role = " key-server"
	}
	fmt.Fprintf(b, " icv %s ckn %s sci %s mi %s mn %d v%d prio %d%s", m.ICV, m.CKN, m.SCI, m.MI, m.MN, m.Version, m.Priority, role)
	var parts []string
	if len(m.LivePeers) > 0 {
		parts = append(parts, "live "+peersText(m.LivePeers))
	}
	if len(m.PotentialPeers) > 0 {
		parts = append(parts, "potential "+peersText(m.PotentialPeers))
	}
	if d := m.DistributedSAK; d != nil {
		parts = append(parts, d.text())
	}
	if u := m.SAKUse; u != nil {
		parts = append(parts, u.text())
	}
	if x := m.XPN; x != nil && x.Suspension > 0 {
		parts = append(parts, fmt.Sprintf("suspended %d s", x.Suspension))
	}
	if len(parts) > 0 {
		b.WriteString("\n      " + strings.Join(parts, "; "))
	}
}

func peersText(list []Peer) string {
	var p []string
	for _, x := range list {
		p = append(p, fmt.Sprintf("%s/%d", x.MI, x.MN))
	}
	return strings.Join(p, " ")
}

func (d *DistributedSAK) text() string {
	if d.PlainText {
		return "distributes no SAK: plain text asked for"
	}
	s := fmt.Sprintf("distributes SAK kn %d an %d %s", d.KN, d.AN, d.Cipher)
	switch {
	case d.IntegrityOnly:
		s += " integrity only"
	case d.ConfidentialityOffset != 0:
		s += fmt.Sprintf(" offset %d", d.ConfidentialityOffset)
	}
	if d.SAK != "" {
		s += " sak " + d.SAK
	}
	return s
}

func (u *SAKUse) text() string {
	var s []string
	for _, k := range []struct {
		name string
		use  *KeyUse
	}{{"latest", u.Latest}, {"old", u.Old}} {
		if k.use == nil {
			continue
		}
		dir := "idle"
		switch {
		case k.use.Rx && k.use.Tx:
			dir = "rx tx"
		case k.use.Rx:
			dir = "rx"
		case k.use.Tx:
			dir = "tx"
		}
		s = append(s, fmt.Sprintf("%s %s/%d an %d %s lowest pn %d", k.name, k.use.KeyServerMI, k.use.KN, k.use.AN, dir, k.use.LowestPN))
	}
	if len(s) == 0 {
		s = append(s, "no key")
	}
	if u.PlainTx || u.PlainRx {
		s = append(s, "plain text allowed")
	}
	if u.DelayProtect {
		s = append(s, "delay protection")
	}
	return "uses " + strings.Join(s, ", ")
}

func (m *MACsec) text(b *strings.Builder) {
	mode := "integrity only"
	if m.Encrypted {
		mode = "encrypted"
	}
	sci := m.SCI
	if sci == "" {
		sci = "unknown"
	}
	fmt.Fprintf(b, " icv %s sci %s an %d pn %d %s, tci %s", m.ICV, sci, m.AN, m.PN, mode, m.TCI)
	if m.Length > 0 { // else it is cut, or malformed
		fmt.Fprintf(b, ", %d octets", m.Length)
	}
	if m.Cipher != "" {
		fmt.Fprintf(b, ", %s", m.Cipher)
	}
	if m.Plaintext != "" {
		fmt.Fprintf(b, "\n      plaintext %s", m.Plaintext)
	}
}
