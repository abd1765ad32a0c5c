package device

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/tap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	eapol    = 0x888e
	patience = 20 * time.Second
)

// setting is what two sides have in common.
type setting struct {
	mtu, queues int
	senders     int // TX queues; 0: as many
	should      bool
	suite       sa.Suite
	window      *uint32
}

// side is one end of the wire: a namespace with a port and a tap, and between
// them the Device.
type side struct {
	ns        *netns.NS
	links     *link.Handle
	port, tap link.Link
	filter    *bpf.Enforcer // nil with should
	o         Options
	d         *Device
	address   netip.Addr
}

// pair is two sides. There is no KaY: the test installs the SAs.
type pair struct {
	west, east *side
	suite      sa.Suite
}

// newPair makes them, unsecured. Without root the test is skipped; with it, what
// the machine lacks fails it, since no guest runs these tests.
func newPair(t testing.TB, s setting) *pair {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it makes network namespaces, taps and BPF programs: run it as root")
	}
	for _, f := range []probe.Feature{probe.NetNS, probe.Veth, probe.Tap, probe.BPF, probe.AFXDP} {
		if r := f.Check(); !r.OK {
			t.Fatalf("needs %s: %s; %s", f, r.Detail, r.Remedy)
		}
	}
	if s.queues == 0 {
		s.queues = 1
	}
	if s.senders == 0 {
		s.senders = s.queues
	}
	if s.suite == 0 {
		s.suite = sa.GCMAESXPN256
	}
	p := &pair{west: newSide(t, 1), east: newSide(t, 2), suite: s.suite}
	p.west.do(t, func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "port", MTU: s.mtu, NumTxQueues: s.senders, NumRxQueues: s.queues},
			PeerName:  "port", PeerNamespace: netlink.NsFd(p.east.ns.Fd()), PeerMTU: uint32(s.mtu)})
	})
	for _, e := range []*side{p.west, p.east} {
		e.wire(t, s)
	}
	for _, e := range []*side{p.west, p.east} {
		e.open(t)
	}
	return p
}

func newSide(t testing.TB, n byte) *side {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return &side{ns: ns, address: netip.AddrFrom4([4]byte{192, 0, 2, n})}
}

func (e *side) do(t testing.TB, f func() error) {
	t.Helper()
	if err := e.ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

// wire puts the filter on the port, and makes the tap with an address.
func (e *side) wire(t testing.TB, s setting) {
	t.Helper()
	e.do(t, func() (err error) {
		if e.links, err = link.Open(); err != nil {
			return err
		}
		t.Cleanup(func() { e.links.Close() })
		if err := tap.Create("sec0"); err != nil {
			return err
		}
		if e.port, err = e.links.ByName("port"); err != nil {
			return err
		}
		if e.tap, err = e.links.ByName("sec0"); err != nil {
			return err
		}
		if !s.should {
			if e.filter, err = bpf.Attach(e.port.Index, bpf.Filter{EtherType: eapol}); err != nil {
				return err
			}
			t.Cleanup(func() { e.filter.Close() })
		}
		return errors.Join(
			// In clear the port's stack hears requests for the tap's address.
			os.WriteFile("/proc/sys/net/ipv4/conf/port/arp_ignore", []byte("1"), 0),
			e.links.DisableIPv6(e.port.Index), e.links.DisableIPv6(e.tap.Index),
			e.links.SetMTU(e.tap.Index, s.mtu-32),
			e.links.ReplaceAddress(e.tap.Index, netip.PrefixFrom(e.address, 24)),
			e.links.SetUp(e.port.Index), e.links.SetUp(e.tap.Index))
	})
	e.o = Options{Interface: "sec0", Index: e.tap.Index, Parent: e.port.Index, EAPOL: eapol, Log: slog.New(slog.DiscardHandler),
		SecY: softsecy.Config{SCI: sa.NewSCI([6]byte(e.tap.MAC), 1), Suite: s.suite, Should: s.should,
			Parameters: softsecy.Parameters{Encrypt: true, ReplayWindow: s.window}}}
}

// open opens the Device, with the port's carrier.
func (e *side) open(t testing.TB) {
	t.Helper()
	await(t, "the port's carrier", func() bool { return e.link(t, e.port.Index).OperState == link.OperUp })
	e.do(t, func() (err error) { e.d, err = Open(e.o); return err })
	d := e.d
	t.Cleanup(func() { d.Close() })
	e.d.LinkChanged(true)
}

func (e *side) link(t testing.TB, index int) link.Link {
	t.Helper()
	l, err := e.links.ByIndex(index)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// apply changes an SA.
func (e *side) apply(t testing.TB, kind sa.ChangeKind, sci sa.SCI, a sa.SA) {
	t.Helper()
	if err := e.d.Apply(sa.Change{Kind: kind, SCI: sci, SA: a}); err != nil {
		t.Error(err)
	}
}

// key is the SA of one of the keys that follow on another; n is from 0 on.
func (p *pair) key(n int, ssci uint32) sa.SA {
	k := make([]byte, p.suite.KeyLen())
	for i := range k {
		k[i] = byte(i*n + n)
	}
	return sa.SA{AN: uint8(n % 4), Key: sa.KeyID{MI: sa.MI{7}, KN: uint32(n + 1)}, SAK: secret.New(k), PN: 1, SSCI: ssci}
}

// change has both sides receive, then transmit with key n.
func (p *pair) change(t testing.TB, n int) {
	t.Helper()
	west, east := p.key(n, 1), p.key(n, 2)
	p.west.apply(t, sa.InstallRx, p.east.o.SecY.SCI, east)
	p.east.apply(t, sa.InstallRx, p.west.o.SecY.SCI, west)
	p.west.apply(t, sa.InstallTx, sa.SCI{}, west)
	p.east.apply(t, sa.InstallTx, sa.SCI{}, east)
	p.west.apply(t, sa.Encode, sa.SCI{}, west)
	p.east.apply(t, sa.Encode, sa.SCI{}, east)
}

// remove deletes the SAs of key n.
func (p *pair) remove(t testing.TB, n int) {
	t.Helper()
	west, east := p.key(n, 1), p.key(n, 2)
	p.west.apply(t, sa.DeleteTx, sa.SCI{}, west)
	p.east.apply(t, sa.DeleteTx, sa.SCI{}, east)
	p.west.apply(t, sa.DeleteRx, p.east.o.SecY.SCI, east)
	p.east.apply(t, sa.DeleteRx, p.west.o.SecY.SCI, west)
}

// set sets both controlled ports, and waits until both interfaces are so.
func (p *pair) set(t testing.TB, c sa.ControlledPort) {
	t.Helper()
	want := link.OperUp
	if c == sa.Unsecured {
		want = link.OperDormant
	}
	for _, e := range []*side{p.west, p.east} {
		if err := e.d.SetControlledPort(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []*side{p.west, p.east} {
		await(t, "the interface to be "+want.String(), func() bool { return e.link(t, e.tap.Index).OperState == want })
	}
}

// secure has traffic pass, under key 0.
func (p *pair) secure(t testing.TB) {
	t.Helper()
	p.change(t, 0)
	p.set(t, sa.Secured)
}

func (e *side) counters(t testing.TB) softsecy.Counters {
	t.Helper()
	c, err := e.d.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sent and received are the frames of an AN.
func (e *side) sent(t testing.TB, an uint8) (n uint64) {
	t.Helper()
	for _, a := range e.counters(t).TxSAs {
		if a.AN == an {
			n = a.OutPktsEncrypted + a.OutPktsProtected
		}
	}
	return n
}

func (e *side) received(t testing.TB, an uint8) (n uint64) {
	t.Helper()
	for _, sc := range e.counters(t).RxSCs {
		for _, a := range sc.SAs {
			if a.AN == an {
				n = a.InPktsOK
			}
		}
	}
	return n
}

// faults are counters of what must not happen to the frames of a peer.
func faults(c softsecy.Counters) string {
	if c.InPktsLate+c.InPktsNotValid+c.InPktsInvalid+c.InPktsNotUsingSA+c.InPktsUnusedSA+c.InPktsUnknownSCI+c.InPktsBadTag+c.InPktsOverrun+c.OutPktsTooLong == 0 {
		return ""
	}
	return fmt.Sprintf("%+v", c.Counters)
}

// settle waits until each side has validated all that the other protected, and
// checks that the filters counted the same.
func (p *pair) settle(t testing.TB) {
	t.Helper()
	out := func(e *side) uint64 { c := e.counters(t); return c.OutPktsEncrypted + c.OutPktsProtected }
	// Delayed is what several workers have sent out of order.
	in := func(e *side) uint64 { c := e.counters(t); return c.InPktsOK + c.InPktsDelayed }
	defer func() {
		if t.Failed() {
			t.Logf("west sent %d and has %d, east sent %d and has %d", out(p.west), in(p.west), out(p.east), in(p.east))
			t.Log("west ", faults(p.west.counters(t)), "\neast ", faults(p.east.counters(t)))
		}
	}()
	await(t, "all frames to be validated", func() bool { return in(p.east) == out(p.west) && in(p.west) == out(p.east) })
	for _, e := range []*side{p.west, p.east} {
		if f := faults(e.counters(t)); f != "" {
			t.Errorf("%s: %s", e.address, f)
		}
		if e.filter == nil {
			continue
		}
		await(t, "the filter to have counted what was sent", func() bool {
			c, err := e.filter.Counters()
			if err != nil {
				t.Fatal(err)
			}
			return c.Egress.MACsec.Packets == out(e)
		})
	}
}

// await polls, since nothing tells of what is awaited.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		unix.Poll(nil, 1)
	}
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
