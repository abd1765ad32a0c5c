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
// on the underlay have none. What WireGuard gives its handshakes is its own.
func (s Suite) DSCP(t *testing.T) {
	p := s.pair(t, lab.Options{}, lab.Tunnel{})
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
	p.eventually(t, "the tunnel's packets", func() bool { return p.wires[0].DS()[0] >= before[0]+sent })
	if n := p.wires[0].DS()[expedited]; n > 0 {
		t.Errorf("%d packets of the tunnel show the DSCP of what is in them", n)
	}
	p.none(t, "DSCP")
}

func setDS(raw syscall.RawConn, ds int) (err error) {
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, ds) }); e != nil {
		return e
	}
	return err
}
