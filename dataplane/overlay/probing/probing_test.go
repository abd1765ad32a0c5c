package probing

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAsked(t *testing.T) {
	t0 := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		fates  string // of the requests: a answered, s answered after the next was sent, l lost, f not sent
		answer bool
		lost   float64
	}{
		{"none is judged yet", "l", true, 0},
		{"all", "aaaa", true, 0},
		{"two in a row, of three allowed", "alll", true, 2. / 3},
		{"three in a row", "allll", false, 3. / 4},
		{"and back", "alllla", true, 4. / 6},
		{"late is answered", "assss", true, 0},
		{"every other", "alalalala", true, 4. / 9},
		{"cannot be sent", "fff", false, 1},
		{"old ones are forgotten", "llll" + strings.Repeat("a", window+1), true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a asked
			var err error
			for i, fate := range tc.fates {
				now := t0.Add(time.Duration(i) * time.Second)
				a.send(uint16(i), now)
				if i > 0 && tc.fates[i-1] == 's' && !a.reply(uint16(i-1), now) {
					t.Error("a late reply is not taken")
				}
				err = nil
				switch fate {
				case 'a':
					if !a.reply(uint16(i), now.Add(7*time.Millisecond)) || a.reply(uint16(i), now) {
						t.Error("a reply is not taken once")
					}
				case 'f':
					err = errors.New("no route")
				}
			}
			if a.reply(9999, t0) {
				t.Error("a reply to nothing is taken")
			}
			r := a.result(3, err)
			if r.Answered != tc.answer || r.Lost != tc.lost || (r.Problem != "") != (err != nil) {
				t.Errorf("%+v, want answered %v, lost %v", r, tc.answer, tc.lost)
			}
		})
	}
}

// Over a veth, IPv4 and IPv6: answered, not when the other end has no such
// address, and again when it has.
func TestProber(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth)
	for _, there := range []string{"192.0.2.2/24", "2001:db8::2/64"} {
		p := netip.MustParsePrefix(there)
		here, err := netlink.ParseAddr(strings.Replace(there, "2/", "1/", 1))
		if err != nil {
			t.Fatal(err)
		}
		other, err := netlink.ParseAddr(there)
		if err != nil {
			t.Fatal(err)
		}
		here.Flags, other.Flags = 0x02, 0x02 // IFA_F_NODAD
		a, b := namespace(t), namespace(t)
		link := func(ns *netns.NS, f func(netlink.Link) error) {
			t.Helper()
			if err := ns.Do(func() error {
				l, err := netlink.LinkByName("v")
				if err != nil {
					return err
				}
				return f(l)
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Do(func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v"}, PeerName: "v", PeerNamespace: netlink.NsFd(b.Fd())})
		}); err != nil {
			t.Fatal(err)
		}
		link(a, func(l netlink.Link) error { return errors.Join(netlink.AddrAdd(l, here), netlink.LinkSetUp(l)) })
		link(b, netlink.LinkSetUp)
		changes := make(chan bool, 100)
		pr := Start(a, "v", config.Probe{Address: p.Addr(), Interval: 100 * time.Millisecond, Lost: 2}, func() { changes <- true })
		turn := func(what string, want bool) {
			t.Helper()
			deadline := time.After(20 * time.Second)
			for pr.Result().Answered != want {
				select {
				case <-changes:
				case <-deadline:
					t.Fatalf("%s: %s: %+v", there, what, pr.Result())
				}
			}
		}
		turn("nobody is there", false)
		link(b, func(l netlink.Link) error { return netlink.AddrAdd(l, other) })
		turn("somebody is", true)
		if r := pr.Result(); r.RTT <= 0 {
			t.Errorf("%s: %+v", there, r)
		}
		link(b, func(l netlink.Link) error { return netlink.AddrDel(l, other) })
		turn("nobody again", false)
		pr.Close()
	}
}

func namespace(t *testing.T) *netns.NS {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}
