package userspace

import (
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// secures starts a pair and demands traffic both ways, datagrams and TCP, and
// nothing in clear.
func (p *pair) secures(t *testing.T) []status.Port {
	t.Helper()
	sealed := sealed(t, p)
	p.start(t)
	carries(t, p.west, p.east)
	carries(t, p.east, p.west)
	bulk(t, p.west, p.east)
	bulk(t, p.east, p.west)
	sealed()
	ports := p.settled(t)
	for i, s := range ports {
		discarded(t, p.both()[i].Name, s)
	}
	return ports
}

// discarded demands that an end discarded nothing for what it was.
func discarded(t *testing.T, who string, s status.Port) {
	t.Helper()
	for _, name := range []string{"in_pkts_not_valid", "in_pkts_invalid", "in_pkts_late", "in_pkts_not_using_sa", "in_pkts_unused_sa",
		"in_pkts_bad_tag", "in_pkts_no_sci", "in_pkts_unknown_sci", "in_pkts_no_tag", "out_pkts_too_long"} {
		if n := s.Counters[name]; n > 0 {
			t.Errorf("%s: %s %d", who, name, n)
		}
	}
	if s.Counters["in_pkts_ok"] == 0 {
		t.Errorf("%s: no frame was valid: %v", who, s.Counters)
	}
}

// bulk sends 4 MiB by TCP.
func bulk(t *testing.T, from, to *lab.Appliance) {
	t.Helper()
	s := startStream(t, from, to)
	eventually(t, "4 MiB of TCP", func() bool { return s.total() >= 4<<20 })
	s.end(t)
}

func TestSuites(t *testing.T) {
	t.Parallel()
	for _, cipher := range []string{"gcm-aes-128", "gcm-aes-256", "gcm-aes-xpn-128", "gcm-aes-xpn-256"} {
		t.Run(cipher, func(t *testing.T) {
			t.Parallel()
			for _, s := range newPair(t, lab.Options{}, lab.Port{Cipher: cipher}).secures(t) {
				if s.Cipher != cipher || s.Counters["out_pkts_encrypted"] == 0 || s.Counters["out_pkts_protected"] > 0 {
					t.Errorf("cipher %s, counters %v", s.Cipher, s.Counters)
				}
				if !strings.HasPrefix(s.PortIO, "AF_XDP") {
					t.Errorf("frames do not pass AF_XDP: %s", s.PortIO)
				}
			}
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    lab.Options
		p    lab.Port
		// io is how PortIO begins; AF_XDP if it is empty.
		io string
		// counter has to have moved at both ends.
		counter string
	}{
		{name: "integrity only", p: lab.Port{Extra: []string{"encrypt: false"}}, counter: "out_pkts_protected"},
		{name: "offset 30", p: lab.Port{Extra: []string{"confidentiality_offset: 30"}}},
		{name: "offset 50", p: lab.Port{Extra: []string{"confidentiality_offset: 50"}}},
		{name: "no SCI", p: lab.Port{Extra: []string{"send_sci: false"}}},
		{name: "replay window 0", p: lab.Port{Extra: []string{"replay_window: 0"}}},
		{name: "replay window 64", p: lab.Port{Cipher: "gcm-aes-xpn-128", Extra: []string{"replay_window: 64"}}},
		{name: "delay protection", p: lab.Port{MKA: "hello: 500ms, " + steady, Extra: []string{"replay_window: 0"}}},
		{name: "jumbo", o: lab.Options{MTU: 9032}, p: lab.Port{Extra: []string{"mtu: 9000"}}, io: "packet socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.io == "" {
				c.io = "AF_XDP"
			}
			if c.counter == "" {
				c.counter = "out_pkts_encrypted"
			}
			p := newPair(t, c.o, c.p)
			for i, s := range p.secures(t) {
				if !strings.HasPrefix(s.PortIO, c.io) {
					t.Errorf("%s: port_io %q; want %s", p.both()[i].Name, s.PortIO, c.io)
				}
				if s.Counters[c.counter] == 0 {
					t.Errorf("%s: %s is 0: %v", p.both()[i].Name, c.counter, s.Counters)
				}
				if n := tap(t, p.both()[i]).Statistics; n.RxBytes < 4<<20 || n.TxBytes < 4<<20 {
					t.Errorf("%s: the interface's statistics did not move with the traffic: %d octets received, %d sent", p.both()[i].Name, n.RxBytes, n.TxBytes)
				}
			}
		})
	}
}
