package secy

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/macsec"
)

// TestKernelSuites takes both ends from nothing to encrypted traffic with each
// suite, and reads back what is in the kernel.
func TestKernelSuites(t *testing.T) {
	for _, suite := range sa.Suites() {
		t.Run(suite.String(), func(t *testing.T) {
			a, b := wire(t, suite, Options{})
			if a.Suite() != suite {
				t.Fatalf("suite %s", a.Suite())
			}
			tap := a.tap()
			a.await("unsecured", operState(link.OperDormant))
			if out, ok := a.ping(2, 50); ok {
				t.Errorf("traffic without SAs:\n%s", out)
			}
			// At AN 0, which a new device encodes with: installed is not yet
			// encoding.
			for _, e := range []*end{a, b} {
				e.apply(sa.InstallRx, 0, 7)
				e.apply(sa.InstallTx, 0, 7)
				if got := e.table(); got.Encoding != sa.NoAN || len(got.Tx) != 1 || got.Tx[0] != (sa.TxState{AN: 0, Key: keyID(7), PN: 1}) {
					t.Errorf("installed: %+v", got)
				}
			}
			if out, ok := a.ping(2, 50); ok {
				t.Errorf("traffic before Encode:\n%s", out)
			}
			if f := tap.frames(a); len(f) != 0 {
				t.Errorf("frames by EtherType before Encode: %x", f)
			}
			secure(a, b, 0, 7)
			if out, ok := a.ping(5, 50); !ok {
				t.Errorf("no traffic:\n%s", out)
			}
			if f := tap.frames(a); len(f) != 1 || f[etherMACsec] < 5 {
				t.Errorf("frames by EtherType: %x", f)
			}
			for _, e := range []*end{a, b} {
				got := e.table()
				if got.Encoding != 0 || len(got.Tx) != 1 || got.Tx[0].Key != keyID(7) || got.Tx[0].PN < 6 {
					t.Errorf("table %+v", got)
				}
				if len(got.Rx) != 1 || got.Rx[0].SCI != e.other.sci || got.Rx[0].Key != keyID(7) || got.Rx[0].PN < 6 {
					t.Errorf("table %+v", got)
				}
				// Installing and encoding what is there rewinds nothing.
				for _, kind := range []sa.ChangeKind{sa.InstallRx, sa.InstallTx, sa.Encode} {
					e.apply(kind, 0, 7)
				}
				again := e.table()
				if again.Tx[0].PN < got.Tx[0].PN || again.Rx[0].PN < got.Rx[0].PN {
					t.Errorf("PNs rewound: %+v to %+v", got, again)
				}
				c := e.counters()
				if c.OutPktsEncrypted < 5 || c.InPktsOK < 5 || c.TxSAs[0].OutPktsEncrypted != c.OutPktsEncrypted ||
					c.RxSCs[0].SAs[0].InPktsOK != c.InPktsOK || c.OutPktsUntagged != 0 {
					t.Errorf("counters %+v", c)
				}
			}
		})
	}
}

// TestKernelDeleteEncoding: without its encoding SA a SecY sends nothing, in
// clear or otherwise, in no state of the port that must-secure knows.
func TestKernelDeleteEncoding(t *testing.T) {
	a, b := wire(t, sa.GCMAES128, Options{})
	secure(a, b, 1, 1)
	if out, ok := a.ping(2, 50); !ok {
		t.Fatalf("no traffic:\n%s", out)
	}
	tap := a.tap()
	a.apply(sa.DeleteTx, 1, 1)
	if f := tap.frames(a); f[0x0800]+f[0x0806] != 0 {
		t.Errorf("frames by EtherType during DeleteTx: %x", f)
	}
	for _, p := range []sa.ControlledPort{sa.Secured, sa.Unsecured, sa.Secured} {
		must(t, a.SetControlledPort(p))
		if out, ok := a.ping(10, 5); ok {
			t.Errorf("%s: traffic:\n%s", p, out)
		}
		if f := tap.frames(a); len(f) != 0 {
			t.Errorf("%s, no encoding SA: frames by EtherType %x", p, f)
		}
	}
	// The key is gone with its SA; the next works at the same AN.
	a.apply(sa.InstallRx, 2, 2)
	a.apply(sa.InstallTx, 1, 3)
	b.apply(sa.InstallRx, 1, 1)
	if err := b.Apply(b.change(sa.InstallRx, 1, 3)); !errors.Is(err, ErrKeyInUse) {
		t.Errorf("another key on an AN in use: %v", err)
	}
	b.apply(sa.DeleteRx, 1, 1)
	b.apply(sa.InstallRx, 1, 3)
	if f := tap.frames(a); len(f) != 0 {
		t.Errorf("InstallTx at the encoding AN sent frames: %x", f)
	}
	a.apply(sa.Encode, 1, 3)
	if out, ok := a.ping(3, 50); !ok {
		t.Errorf("no traffic with the new key:\n%s", out)
	}
	// Key identifiers are compared before deletes.
	a.apply(sa.DeleteTx, 1, 99)
	a.apply(sa.DeleteRx, 1, 99)
	if out, ok := a.ping(3, 50); !ok {
		t.Errorf("a delete of another key deleted:\n%s", out)
	}
	b.apply(sa.DeleteSC, 0, 0)
	if got := b.table(); len(got.Rx) != 0 {
		t.Errorf("after DeleteSC: %+v", got)
	}
	if _, ok := a.ping(2, 50); ok {
		t.Error("traffic without a receive SC")
	}
}

// TestKernelExhausted: an SA that has used its last PN stays silent, and
// Encode does not wake it.
func TestKernelExhausted(t *testing.T) {
	a, b := wire(t, sa.GCMAES128, Options{})
	secure(a, b, 0, 1)
	last := a.change(sa.InstallTx, 1, 2)
	last.SA.PN = 0xffffffff
	must(t, a.Apply(last))
	b.apply(sa.InstallRx, 1, 2)
	a.apply(sa.Encode, 1, 2)
	tap := a.tap()
	a.ping(5, 20)
	if got, _ := a.tx(1); got.PN != 0 {
		t.Fatalf("PN %#x after the last", got.PN)
	}
	if got := a.table(); got.Encoding != sa.NoAN {
		t.Errorf("exhausted, yet Encoding is %d", got.Encoding)
	}
	if err := a.Apply(a.change(sa.Encode, 1, 2)); !errors.Is(err, ErrExhausted) {
		t.Errorf("Encode: %v", err)
	}
	tap.frames(a)
	a.ping(3, 20)
	if f := tap.frames(a); len(f) != 0 {
		t.Errorf("frames after the last PN: %x", f)
	}
	// The old SA is there still.
	a.apply(sa.Encode, 0, 1)
	if out, ok := a.ping(3, 20); !ok {
		t.Errorf("back on the old SA:\n%s", out)
	}
}

// TestKernelXPNBeyond32Bits crosses 2^32 in traffic, and starts at a multiple
// of it, which the kernel refuses to be told.
func TestKernelXPNBeyond32Bits(t *testing.T) {
	a, b := wire(t, sa.GCMAESXPN128, Options{})
	for _, e := range []*end{a, b} {
		for _, kind := range []sa.ChangeKind{sa.InstallRx, sa.InstallTx, sa.Encode} {
			c := e.change(kind, 0, 1)
			c.SA.PN = 0x1_ffff_fffc
			must(t, e.Apply(c))
		}
		must(t, e.SetControlledPort(sa.Secured))
		e.await("secured", operState(link.OperUp))
	}
	if out, ok := a.ping(10, 20); !ok || !strings.Contains(out, " 0% packet loss") {
		t.Errorf("across 2^32:\n%s", out)
	}
	if tx, _ := a.tx(0); tx.PN <= 2<<32 {
		t.Errorf("PN %#x", tx.PN)
	}
	if rx, _ := b.rx(0); rx.PN <= 2<<32 {
		t.Errorf("received to PN %#x", rx.PN)
	}
	for _, kind := range []sa.ChangeKind{sa.InstallRx, sa.InstallTx, sa.Encode} {
		for _, e := range []*end{a, b} {
			c := e.change(kind, 1, 2)
			c.SA.PN = 7 << 32
			must(t, e.Apply(c))
		}
	}
	if tx, _ := a.tx(1); tx.PN != 7<<32+1 {
		t.Errorf("PN %#x, want one skipped", tx.PN)
	}
	if out, ok := a.ping(5, 20); !ok {
		t.Errorf("from 7·2^32:\n%s", out)
	}
}

// TestKernelControlledPort goes through the states of a must and of a should
// port; addresses and routes stay in all of them.
func TestKernelControlledPort(t *testing.T) {
	for _, should := range []bool{false, true} {
		t.Run(fmt.Sprintf("should=%v", should), func(t *testing.T) {
			a, b := wire(t, sa.GCMAES128, Options{Should: should})
			_, dst, err := net.ParseCIDR("198.51.100.0/24")
			must(t, err)
			route := &netlink.Route{Dst: dst, Gw: b.address.Addr().AsSlice()}
			must(t, a.ns.Do(func() error { return netlink.RouteAdd(route) }))
			kept := func(when string) {
				t.Helper()
				addrs, err := a.SecY.links.Addresses(a.ifindex)
				if err != nil || !slices.Contains(addrs, a.address) {
					t.Errorf("%s: addresses %v, %v", when, addrs, err)
				}
				must(t, a.ns.Do(func() error {
					rs, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: a.ifindex}, netlink.RT_FILTER_OIF)
					if len(rs) != 2 {
						t.Errorf("%s: routes %v", when, rs)
					}
					return err
				}))
			}
			set := func(p sa.ControlledPort, want link.OperState) {
				t.Helper()
				for _, e := range []*end{a, b} {
					for range 2 {
						must(t, e.SetControlledPort(p))
					}
					e.await(p.String(), func(l link.Link) bool { return l.OperState == want && l.Up && l.Carrier })
				}
				kept(p.String())
			}
			params := func() string {
				d, err := a.kernel.Get(a.ifindex)
				must(t, err)
				return fmt.Sprintf("protect %v, %s", d.Protect, d.Validate)
			}
			tap := a.tap()
			kept("at first")
			if !should {
				for _, e := range []*end{a, b} {
					if err := e.SetControlledPort(sa.Clear); !errors.Is(err, ErrMustSecure) {
						t.Errorf("Clear: %v", err)
					}
				}
				if _, ok := a.ping(2, 20); ok {
					t.Error("clear traffic on a must port")
				}
				if f := tap.frames(a); len(f) != 0 {
					t.Errorf("frames by EtherType: %x", f)
				}
			} else {
				set(sa.Clear, link.OperUp)
				if got := params(); got != "protect false, check" {
					t.Errorf("Clear: %s", got)
				}
				if out, ok := a.ping(3, 20); !ok {
					t.Errorf("no clear traffic:\n%s", out)
				}
				if f := tap.frames(a); f[0x0800] < 3 || f[etherMACsec] != 0 {
					t.Errorf("Clear: frames by EtherType %x", f)
				}
			}
			set(sa.Unsecured, link.OperDormant)
			if got := params(); got != "protect true, strict" {
				t.Errorf("Unsecured: %s", got)
			}
			a.ping(2, 20)
			if f := tap.frames(a); len(f) != 0 {
				t.Errorf("Unsecured: frames by EtherType %x", f)
			}
			secure(a, b, 0, 1)
			set(sa.Secured, link.OperUp)
			if got := params(); got != "protect true, strict" {
				t.Errorf("Secured: %s", got)
			}
			if out, ok := a.ping(3, 20); !ok {
				t.Errorf("no traffic:\n%s", out)
			}
			if f := tap.frames(a); len(f) != 1 || f[etherMACsec] < 3 {
				t.Errorf("Secured: frames by EtherType %x", f)
			}
			// A carrier flap: a secured port comes back by itself, an
			// unsecured one stays dormant, and the SAs live on.
			flap(t, a, b)
			a.await("secured after a flap", operState(link.OperUp))
			if out, ok := a.ping(3, 20); !ok {
				t.Errorf("after a flap:\n%s", out)
			}
			kept("after a flap")
			set(sa.Unsecured, link.OperDormant)
			flap(t, a, b)
			a.await("unsecured after a flap", func(l link.Link) bool { return l.Carrier && l.OperState == link.OperDormant })
			kept("unsecured after a flap")
		})
	}
}

func flap(t *testing.T, a, b *end) {
	t.Helper()
	must(t, b.links.SetDown(b.parent))
	a.await("no carrier", func(l link.Link) bool { return !l.Carrier })
	must(t, b.links.SetUp(b.parent))
	for _, e := range []*end{a, b} {
		e.await("carrier again", func(l link.Link) bool { return l.Carrier })
	}
}

// TestKernelConcurrent has changes, observations and counters at once; it is
// for the race detector as much as for the result.
func TestKernelConcurrent(t *testing.T) {
	a, b := wire(t, sa.GCMAES128, Options{})
	secure(a, b, 0, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var table sa.Table
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := a.Observe(&table); err != nil {
					t.Error(err)
					return
				}
				if table.Encoding == sa.NoAN {
					t.Errorf("a moment without an encoding SA: %+v", table)
				}
				if _, err := a.Counters(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for kn := uint32(2); kn < 20; kn++ {
		switchOver(t, a, b, kn)
	}
	close(done)
	wg.Wait()
}

func TestKernelOpenAndClose(t *testing.T) {
	a, _ := wire(t, sa.GCMAES128, Options{})
	a.apply(sa.InstallTx, 0, 1)
	for _, tt := range []struct {
		name string
		want error
	}{{"nonesuch", link.ErrNotFound}, {"eth1", macsec.ErrNoDevice}} {
		if err := a.ns.Do(func() error { _, err := Open(tt.name, Options{}); return err }); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for range 2 {
		must(t, a.SecY.Close())
	}
	var table sa.Table
	for what, err := range map[string]error{
		"Apply": a.Apply(a.change(sa.InstallTx, 0, 1)), "Observe": a.Observe(&table), "SetControlledPort": a.SetControlledPort(sa.Secured),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	// The SA is in the kernel still: the next daemon finds it.
	must(t, a.ns.Do(func() (err error) { a.SecY, err = Open("macsec1", Options{}); return err }))
	if got := a.table(); len(got.Tx) != 1 || got.Tx[0].Key != keyID(1) {
		t.Errorf("after a new Open: %+v", got)
	}
}
