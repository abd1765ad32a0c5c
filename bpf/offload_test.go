package bpf

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// A tag that travels beside the frame, for the NIC to insert, is a tag: MACsec
// behind it does not leave. A VLAN device on the port makes such frames.
func TestTagBesideTheFrame(t *testing.T) {
	probetest.Need(t, probe.VLAN)
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		vlan := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "port.10", ParentIndex: w.index()}, VlanId: 10}
		w.do(t, func() error {
			if err := netlink.LinkAdd(vlan); err != nil {
				return err
			}
			return netlink.LinkSetUp(vlan)
		})
		tagger, port, peer := w.station(t, vlan), w.station(t, w.port), w.station(t, w.peer)
		macsec := octets(t, packets[1].frame, 60)

		// Without the filter it leaves, with its tag.
		tagger.send(t, macsec)
		peer.until(t, macsec[:12])

		e := w.attach(t, plain, m)
		tagger.try(t, macsec)
		for _, f := range peer.until(t, marked(t, port, 1)) {
			if string(f[:12]) == string(macsec[:12]) {
				t.Errorf("it left: %x", f)
			}
		}
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if c.Egress.Tagged.Packets == 0 || c.Egress.MACsec.Packets != 0 {
			t.Errorf("egress counters %+v", c.Egress)
		}
	})
}

// The filter neither needs nor sets a limit to the MTU.
func TestJumboMTU(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		mtu := func(n int) {
			w.do(t, func() error {
				if err := netlink.LinkSetMTU(w.port, n); err != nil {
					return err
				}
				return netlink.LinkSetMTU(w.peer, n)
			})
		}
		mtu(9000)
		e := w.attach(t, plain, m)
		mtu(1500)
		mtu(9216)
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		frame := octets(t, packets[0].frame, 9230)
		peer.send(t, frame)
		port.until(t, frame)
		port.send(t, frame)
		peer.until(t, frame)
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if want := (Counter{1, 9230}); c.Ingress.MACsec != want || c.Egress.MACsec != want {
			t.Errorf("counters %+v; want %+v of MACsec each way", c, want)
		}
	})
}
