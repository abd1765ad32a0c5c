package userspace

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// Parameters that change by reload while traffic flows: the replay window and
// the SCI's place go to the living SecY without a loss, the MTU to the living
// interface.
func TestReload(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{MKA: steady})
	tx := p.start(t)[0].Tx
	index := tap(t, p.west).Index
	d := sendDatagrams(t, inside(p.west), inside(p.east), 500)
	d.flow(t, 50)
	for round, extra := range [][]string{{"replay_window: 0"}, {"replay_window: 64", "send_sci: false"}, {"replay_window: 100000"}, nil, {"mtu: 1400"}} {
		check(t, p.configure(lab.Port{MKA: steady, Extra: extra}))
		for _, a := range p.both() {
			check(t, a.Signal(unix.SIGHUP))
		}
		eventually(t, fmt.Sprintf("%v to be planned for no more", extra), func() bool {
			for _, a := range p.both() {
				_, _, st, err := a.Verb(t.Context(), "plan", "--config", a.ConfigFile())
				if err != nil || st != 0 || strings.Count(a.Log(), `msg="configuration reloaded"`) < round+1 {
					return false
				}
			}
			return true
		})
		d.flow(t, 50)
		bulk(t, p.west, p.east)
	}
	d.end()
	if c := d.count(0, patience); c.lost+c.twice+c.wrong > 0 {
		t.Errorf("%v", c)
	}
	for i, s := range p.settled(t) {
		if s.Tx.Key != tx.Key {
			t.Errorf("%s: the changes cost the SAK %s; it is %s", p.both()[i].Name, tx.Key, s.Tx.Key)
		}
		discarded(t, p.both()[i].Name, s)
	}
	if now := tap(t, p.west); now.MTU != 1400 || now.Index != index {
		t.Errorf("the interface is number %d with MTU %d; it was number %d", now.Index, now.MTU, index)
	}
}

// A port whose device gets another MTU has its SecY opened anew: with packet
// sockets where frames are too long for AF_XDP, and back.
func TestDeviceMTU(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{MTU: 9032}, lab.Port{MKA: steady, Extra: []string{"mtu: 1500"}})
	watch := sealed(t, p)
	p.start(t)
	index := tap(t, p.west).Index
	for _, c := range []struct {
		mtu int
		io  string
	}{{1600, "AF_XDP"}, {9032, "packet socket"}} {
		for _, a := range p.both() {
			ip(t, a, fmt.Sprintf("link set %s mtu %d", lab.Device, c.mtu))
		}
		wait(t, fmt.Sprintf("a SecY for MTU %d", c.mtu), func(s status.Port) bool {
			return strings.HasPrefix(s.PortIO, c.io) && lab.Settled(s, p.key.CKN)
		}, p.both()...)
		carries(t, p.west, p.east)
		bulk(t, p.west, p.east)
	}
	check(t, p.configure(lab.Port{MKA: steady, Extra: []string{"mtu: 9000"}}))
	for _, a := range p.both() {
		check(t, a.Signal(unix.SIGHUP))
		eventually(t, "the interface's MTU", func() bool { return tap(t, a).MTU == 9000 })
	}
	bulk(t, p.east, p.west)
	nothingToPlan(t, p.both()...)
	if now := tap(t, p.west).Index; now != index {
		t.Errorf("the interface was number %d and is number %d", index, now)
	}
	watch()
}
