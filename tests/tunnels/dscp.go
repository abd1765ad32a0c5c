package tunnels

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/lab"
)

// expedited is the DS field of DSCP EF (RFC 3246), which voice has.
const expedited = 46 << 2

// DSCP sends what has a DSCP through a tunnel that is not to show it: its packets
// on the underlay have none. What WireGuard gives its handshakes is its own. Of the
// kernel's IPsec it sends it through one that is to show it, too: the others have
// no such.
func (s Suite) DSCP(t *testing.T) {
	shows := s.Type == lab.IPsec && s.Dataplane == "kernel"
	if shows {
		s.expedite(t, lab.Tunnel{DSCP: true}, expedited, 0)
	}
	if !shows || s.Soak {
		s.expedite(t, lab.Tunnel{}, 0, expedited)
	}
}

// expedite sends datagrams of DSCP EF through a tunnel: its packets on the underlay
// have DS field shown, and less than half as many have other.
func (s Suite) expedite(t *testing.T, tunnel lab.Tunnel, shown, other byte) {
	p := s.pair(t, lab.Options{}, tunnel)
	p.start(t)
	before := p.wires[0].DS()
	const sent = 200
	var c *net.UDPConn
	check(t, p.west.NS.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.west.Site(0), 0)))
		return err
	}))
	defer c.Close()
	raw, err := c.SyscallConn()
	check(t, err, setDS(raw, expedited))
	for range sent {
		_, err := c.WriteToUDPAddrPort(lab.ClearMark, netip.AddrPortFrom(p.east.Site(0), asRouted))
		check(t, err)
	}
	p.eventually(t, "the tunnel's packets", func() bool { return p.wires[0].DS()[shown] >= before[shown]+sent })
	if n := p.wires[0].DS()[other] - before[other]; n >= sent/2 || other == expedited && n > 0 {
		t.Errorf("%d packets of the tunnel have DS field %#x", n, other)
	}
	p.none(t, "DSCP")
}

func setDS(raw syscall.RawConn, ds int) (err error) {
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, ds) }); e != nil {
		return e
	}
	return err
}
