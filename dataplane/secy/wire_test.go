package secy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/macsec"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/calls"
)

// end is one of two namespaces that a veth pair joins, with a MACsec device
// "macsec1" on its half, "eth1".
type end struct {
	*SecY
	t       *testing.T
	ns      *netns.NS
	links   *link.Handle
	kernel  *macsec.Conn
	sci     sa.SCI
	ssci    uint32
	parent  int
	address netip.Prefix
	other   *end
}

// wire is two ends, addressed, Unsecured and without SAs.
func wire(t *testing.T, suite sa.Suite, o Options) (a, b *end) {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.MACsec, probe.MACsecGCM, probe.MACsecXPN)
	probetest.NeedTool(t, "ping")
	a, b = newEnd(t, 1), newEnd(t, 2)
	a.other, b.other = b, a
	must(t, a.ns.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth1"}, PeerName: "eth1",
			PeerNamespace: netlink.NsFd(b.ns.Fd())})
	}))
	for _, e := range []*end{a, b} {
		e.open(suite, o)
	}
	for _, e := range []*end{a, b} {
		e.await("carrier", func(l link.Link) bool { return l.Carrier })
	}
	return a, b
}

func newEnd(t *testing.T, n int) *end {
	t.Helper()
	ns, err := netns.New("")
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	e := &end{t: t, ns: ns, ssci: uint32(n), address: netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", n))}
	must(t, ns.Do(func() (err error) {
		if e.links, err = link.Open(); err != nil {
			return err
		}
		e.kernel, err = macsec.Dial()
		return err
	}))
	t.Cleanup(func() { e.links.Close(); e.kernel.Close() })
	return e
}

func (e *end) open(suite sa.Suite, o Options) {
	e.t.Helper()
	t := e.t
	p, err := e.links.ByName("eth1")
	must(t, err)
	e.parent = p.Index
	e.sci = sa.NewSCI([6]byte(p.MAC), 1)
	must(t, e.links.DisableIPv6(p.Index))
	must(t, e.links.SetUp(p.Index))
	encrypt := true
	i, err := e.kernel.CreateDevice(macsec.Device{Name: "macsec1", Parent: p.Index,
		CipherSuite: macsec.CipherSuite(suite.ID()), Config: macsec.Config{Encrypt: &encrypt}})
	must(t, err)
	must(t, e.ns.Do(func() (err error) { e.SecY, err = Open("macsec1", o); return err }))
	t.Cleanup(func() { e.SecY.Close() })
	must(t, e.SetControlledPort(sa.Unsecured))
	must(t, e.links.DisableIPv6(i))
	must(t, e.links.SetUp(i))
	must(t, e.links.ReplaceAddress(i, e.address))
}

func (e *end) await(what string, ok func(link.Link) bool) {
	e.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		l, err := e.links.ByName("macsec1")
		must(e.t, err)
		if ok(l) {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("%s: still %+v", what, l)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func operState(s link.OperState) func(link.Link) bool {
	return func(l link.Link) bool { return l.OperState == s }
}

// apply carries out a change that must succeed, and once more, since a change
// that is there must change nothing.
func (e *end) apply(kind sa.ChangeKind, an uint8, kn uint32) {
	e.t.Helper()
	for range 2 {
		must(e.t, e.Apply(e.change(kind, an, kn)))
	}
}

func (e *end) change(kind sa.ChangeKind, an uint8, kn uint32) sa.Change {
	c := sa.Change{Kind: kind, SA: testSA(e.suite, an, kn)}
	c.SA.SSCI = e.ssci
	if kind == sa.InstallRx || kind == sa.DeleteRx || kind == sa.DeleteSC {
		c.SCI, c.SA.SSCI = e.other.sci, e.other.ssci
	}
	return c
}

func (e *end) table() (t sa.Table) {
	e.t.Helper()
	must(e.t, e.Observe(&t))
	return t
}

func (e *end) counters() Counters {
	e.t.Helper()
	c, err := e.Counters()
	must(e.t, err)
	return c
}

// tx finds the transmit SA of an AN, rx the receive SA.
func (e *end) tx(an uint8) (sa.TxState, bool) {
	e.t.Helper()
	for _, a := range e.table().Tx {
		if a.AN == an {
			return a, true
		}
	}
	return sa.TxState{}, false
}

func (e *end) rx(an uint8) (sa.RxState, bool) {
	e.t.Helper()
	for _, a := range e.table().Rx {
		if a.AN == an && a.SCI == e.other.sci {
			return a, true
		}
	}
	return sa.RxState{}, false
}

// secure takes the pair from nothing to traffic under a key.
func secure(a, b *end, an uint8, kn uint32) {
	a.t.Helper()
	for _, kind := range []sa.ChangeKind{sa.InstallRx, sa.InstallTx, sa.Encode} {
		a.apply(kind, an, kn)
		b.apply(kind, an, kn)
	}
	for _, e := range []*end{a, b} {
		must(e.t, e.SetControlledPort(sa.Secured))
		e.await("secured", operState(link.OperUp))
	}
}

// ping sends n echo requests, ms milliseconds apart, and returns what it
// prints.
func (e *end) ping(n, ms int) (out string, ok bool) {
	e.t.Helper()
	b, err := e.ns.CommandContext(e.t.Context(), "ping", "-n", "-q", "-c", fmt.Sprint(n), "-W", "2",
		"-i", fmt.Sprintf("%.3f", float64(ms)/1000), e.other.address.Addr().String()).CombinedOutput()
	return string(b), err == nil
}

// tap sees the frames that an end sends through its parent.
type tap struct {
	t  *testing.T
	fd int
	// send is for the marker: a packet socket does not see what it sends.
	send int
}

const (
	etherMACsec = 0x88e5
	etherMarker = 0x88b5 // IEEE 802 local experimental
)

func (e *end) tap() *tap {
	e.t.Helper()
	p := &tap{t: e.t}
	must(e.t, e.ns.Do(func() (err error) {
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		p.send, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	e.t.Cleanup(func() { unix.Close(p.fd); unix.Close(p.send) })
	must(e.t, unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20))
	tv := unix.NsecToTimeval(int64(30 * time.Second))
	must(e.t, unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	must(e.t, unix.Bind(p.fd, &unix.SockaddrLinklayer{Ifindex: e.parent, Protocol: 0x0300})) // ETH_P_ALL, be16
	return p
}

// frames counts by EtherType what was sent since the last call. The end that
// the tap is on sends a marker after it all.
func (p *tap) frames(e *end) map[uint16]int {
	p.t.Helper()
	l, err := e.links.ByIndex(e.parent)
	must(p.t, err)
	marker := append([]byte{2, 0, 0, 0, 0, 0xff}, l.MAC...)
	marker = append(binary.BigEndian.AppendUint16(marker, etherMarker), make([]byte, 46)...)
	must(p.t, unix.Sendto(p.send, marker, 0, &unix.SockaddrLinklayer{Ifindex: e.parent}))
	seen := map[uint16]int{}
	buf := make([]byte, 65536)
	for {
		n, from, err := calls.Recvfrom(p.fd, buf)
		must(p.t, err)
		if n < 14 {
			p.t.Fatalf("a frame of %d octets from %v", n, from)
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); !ok || ll.Pkttype != unix.PACKET_OUTGOING {
			continue
		}
		typ := binary.BigEndian.Uint16(buf[12:])
		if typ == etherMarker {
			break
		}
		seen[typ]++
	}
	stats, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	must(p.t, err)
	if stats.Drops != 0 {
		p.t.Fatalf("the tap missed %d frames", stats.Drops)
	}
	return seen
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
