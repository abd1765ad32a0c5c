package userspace

import (
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// operState waits for an interface's operational state (RFC 2863).
func operState(t *testing.T, a *lab.Appliance, want netlink.LinkOperState) {
	t.Helper()
	eventually(t, a.Name+"'s interface to be "+want.String(), func() bool { return tap(t, a).OperState == want })
}

// The interface is dormant until the port is secured, follows the port's
// carrier, and is what it was when the carrier is back: a flap of less than the
// life time keeps the SAs.
func TestCarrier(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{})
	watch := sealed(t, p)
	check(t, p.west.Start())
	wait(t, "west to be unsecured", func(s status.Port) bool { return s.State == status.Unsecured }, p.west)
	operState(t, p.west, netlink.OperDormant)
	check(t, p.east.Start())
	ports := p.settled(t)
	operState(t, p.west, netlink.OperUp)
	operState(t, p.east, netlink.OperUp)
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 20)
	before := describe(t, p.west)
	for range times(20, 3) {
		check(t, p.SetCarrier(0, false))
		wait(t, "west to see it", func(s status.Port) bool { return s.State == status.Down }, p.west)
		eventually(t, "the interface to have no carrier", func() bool { return tap(t, p.west).RawFlags&lowerUp == 0 })
		check(t, p.SetCarrier(0, true))
		p.settled(t)
		operState(t, p.west, netlink.OperUp)
		d.flow(t, 20)
	}
	if after := describe(t, p.west); after != before {
		t.Errorf("the interface was\n%s\nand is\n%s", before, after)
	}
	// The flaps were short, if the machine was not busy: then the SAK is the
	// same, else a fresh one.
	for i, s := range p.settled(t) {
		if s.Tx.Key == ports[i].Tx.Key && s.Tx.PN <= ports[i].Tx.PN {
			t.Errorf("%s: the SA was %+v and is %+v", p.both()[i].Name, *ports[i].Tx, *s.Tx)
		}
	}
	nothingToPlan(t, p.both()...)

	// Without a peer for its life time west is dormant again.
	check(t, p.east.Stop(t.Context()))
	operState(t, p.west, netlink.OperDormant)
	watch()
}

// A killed daemon leaves the interface, its addresses and routes, and nothing
// passes in clear; the next one secures the link on the same interface.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{})
	watch := sealed(t, p)
	old := p.start(t)[0].Tx
	ip(t, p.west, "route add 198.51.100.0/24 via "+p.east.Address.Addr().String())
	before := describe(t, p.west)
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 50)
	rounds := times(20, 3)
	var longest time.Duration
	for range rounds {
		check(t, p.west.Kill())
		eventually(t, "the interface to have no carrier", func() bool { return tap(t, p.west).RawFlags&lowerUp == 0 })
		if now := describe(t, p.west); now != before {
			t.Errorf("the interface was\n%s\nand after the daemon was killed is\n%s", before, now)
		}
		// What somebody sends meanwhile, at the port and at the interface.
		check(t, lab.SendClear(p.west, 50))
		sent := d.now()
		eventually(t, "50 datagrams to be sent", func() bool { return d.now() > sent+50 })
		start := time.Now()
		check(t, p.west.Start())
		d.flow(t, 1)
		longest = max(longest, time.Since(start))
		ports := wait(t, "a fresh SAK at both ends", func(s status.Port) bool {
			return lab.Settled(s, p.key.CKN) && s.Tx.Key != old.Key
		}, p.both()...)
		old = ports[0].Tx
		d.flow(t, 50)
	}
	if after := describe(t, p.west); after != before {
		t.Errorf("the interface was\n%s\nand is\n%s", before, after)
	}
	nothingToPlan(t, p.both()...)
	watch()
	figure(t, "killed and restarted in user space %d times: datagrams pass again %v after the start at the latest; interface, addresses and routes the same, nothing in clear",
		rounds, longest.Round(10*time.Millisecond))
}

// describe is an interface's number, addresses and routes, which nobody may
// touch, without what follows the carrier.
func describe(t *testing.T, a *lab.Appliance) string {
	t.Helper()
	text := ip(t, a, "-o -4 address show "+lab.Interface) + ip(t, a, "-4 route show table all proto boot dev "+lab.Interface)
	return strings.ReplaceAll(text, "linkdown ", "")
}

// lowerUp is IFF_LOWER_UP: the interface has a carrier.
const lowerUp = 1 << 16
