package mka

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// value is something of a node's that can be marked and compared.
func (s *script) value(arg []string) string {
	n := s.w.nodes[s.num(arg[1])]
	switch arg[0] {
	case "key":
		tx, _ := n.secy.encodesWith()
		return tx.Key.String()
	case "an":
		tx, _ := n.secy.encodesWith()
		return fmt.Sprint(tx.AN)
	case "kn":
		tx, _ := n.secy.encodesWith()
		return fmt.Sprint(tx.Key.KN)
	case "mi":
		return s.participant(arg[1], arg[2]).mi.String()
	case "peers":
		return fmt.Sprint(len(s.participant(arg[1], arg[2]).peers))
	case "sas":
		return fmt.Sprint(len(n.e.State().SAs))
	case "refused":
		return fmt.Sprint(n.e.counters.SAKsRefused)
	case "replayed":
		return fmt.Sprint(n.e.counters.Replayed)
	case "distributed":
		return fmt.Sprint(n.e.counters.SAKsDistributed)
	case "sent":
		return fmt.Sprint(n.e.counters.Sent)
	case "ssci": // ours and, in order, the others' of what is encoded with
		t := &n.e.table[n.e.encoding]
		var b strings.Builder
		fmt.Fprint(&b, t.ssci)
		for _, o := range s.w.nodes {
			if r := t.rxFor(o.cfg.SCI); r != nil {
				fmt.Fprint(&b, ",", r.ssci)
			}
		}
		return b.String()
	case "lowest": // the lowest acceptable PN that a node has been asked for
		return fmt.Sprint(n.secy.lowest)
	}
	s.fatal("no such value")
	return ""
}

func (s *script) participant(node, key string) *participant {
	p := s.w.nodes[s.num(node)].e.byCKN(testKey(s.num(key)).CKN)
	if p == nil {
		s.fatal("no participant")
	}
	return p
}

// holds judges a condition and says what is the case instead.
func (s *script) holds(arg []string) (bool, string) {
	w := s.w
	switch arg[0] {
	case "not":
		ok, _ := s.holds(arg[1:])
		return !ok, "it is so"
	case "secured":
		return w.secured(), "not secured"
	case "on": // one SAK is left, of this key
		return w.on(testKey(s.num(arg[1])))(), "not on it alone"
	case "lossless":
		l := w.lossy()
		return len(l) == 0, fmt.Sprint("lost: ", l)
	case "encodes": // a node, under a key
		n := w.nodes[s.num(arg[1])]
		c := n.e.carrying()
		return c != nil && bytes.Equal(c.ckn, testKey(s.num(arg[2])).CKN), "it does not"
	case "port":
		got := w.nodes[s.num(arg[1])].port.String()
		return got == arg[2], "port " + got
	case "up": // its process
		return w.nodes[s.num(arg[1])].up, "it is not"
	case "live": // node, peer, key
		p := s.participant(arg[1], arg[3])
		return p.liveSCI(w.nodes[s.num(arg[2])].cfg.SCI) != nil, "not live"
	case "server": // node, key, which
		p := s.participant(arg[1], arg[2])
		if arg[3] == "none" {
			return !p.elected, "somebody is"
		}
		return p.elected && p.keyServer == w.nodes[s.num(arg[3])].cfg.SCI, "key server " + p.keyServer.String()
	case "gone": // node, key: no such participant
		return w.nodes[s.num(arg[1])].e.byCKN(testKey(s.num(arg[2])).CKN) == nil, "it is there"
	case "told": // node, text
		text := strings.Join(arg[2:], " ")
		for _, l := range s.lines {
			if strings.Contains(l, " n"+arg[1]+" ") && strings.Contains(l, text) {
				return true, "it was told"
			}
		}
		return false, "it was not told"
	case "same": // mark, value
		got := s.value(arg[2:])
		return got == s.marks[arg[1]], "changed to " + got
	case "changed":
		got := s.value(arg[2:])
		return got != s.marks[arg[1]], "still " + got
	case "is": // a number, value
		got := s.value(arg[2:])
		return got == arg[1], "it is " + got
	}
	s.fatal("no such condition %s", arg[0])
	return false, ""
}

// forge changes an MKPDU and signs it again.
func (s *script) forge(frame []byte, arg []string) []byte {
	return edit(frame, scriptKeys, func(d *mkpdu.PDU) {
		here := true
		for _, a := range arg {
			name, v, _ := strings.Cut(a, "=")
			switch {
			case name == "key": // what follows is for that key alone
				here = d.CKN[1] == byte(s.num(v))
			case here:
				s.change(d, name, v)
			}
		}
	})
}

func (s *script) change(d *mkpdu.PDU, name, v string) {
	switch name {
	case "mn": // more than it was
		d.MN += uint32(s.num(v))
	case "mi": // another one
		d.MI = sa.MI{0xee, byte(s.num(v))}
	case "mi-of": // node.key
		node, key, _ := strings.Cut(v, ".")
		d.MI = s.participant(node, key).mi
	case "priority":
		d.Priority = uint8(s.num(v))
	case "server":
		d.KeyServer = v == "true"
	case "version":
		d.Version = uint8(s.num(v))
	case "lists": // nobody
		d.Live, d.Potential, d.HasLive, d.HasPotential = nil, nil, false, false
	case "suspend":
		d.HasXPN, d.XPN.Suspension = true, uint8(s.num(v))
	case "no-xpn":
		d.HasXPN, d.XPN = false, mkpdu.XPN{}
	case "server-ssci":
		if d.HasLive {
			d.KeyServerSSCI = uint8(s.num(v))
		}
	case "plain-text":
		d.HasDistributed, d.Distributed = true, mkpdu.DistributedSAK{PlainText: true}
	case "sak": // an, kn, under a KEK of nobody's
		an, kn, _ := strings.Cut(v, ",")
		d.HasDistributed = true
		d.Distributed = mkpdu.DistributedSAK{AN: uint8(s.num(an)), ConfidentialityOffset: 1, KN: uint32(s.num(kn)), Suite: sa.GCMAES256.ID(), Wrapped: bytes.Repeat([]byte{1}, 40)}
	case "no-sak":
		d.HasDistributed = false
	case "no-use":
		d.HasUse = false
	case "no-receive":
		d.Use.Latest.Rx, d.Use.Old.Rx = false, false
	case "no-transmit":
		d.Use.Latest.Tx, d.Use.Old.Tx = false, false
	case "lowest-pn":
		d.Use.Latest.LowestPN = uint32(s.num(v))
	default:
		s.fatal("no such change %s", name)
	}
}
