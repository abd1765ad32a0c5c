package bpf

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// A tag that travels beside the frame, for the NIC to insert, is a tag: EAPOL
// behind it does not leave, and MACsec is counted by it. A VLAN device on the
// port makes such frames.
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
		clear := octets(t, "0180c2000003"+otherMAC+"888e"+"0305", 60)

		// Without the filter both leave, with their tag.
		tagger.send(t, clear)
		peer.until(t, clear[:12])

		e := w.attach(t, plain, m)
		tagger.try(t, clear)
		tagger.send(t, macsec)
		left := 0
		for _, f := range peer.until(t, marked(t, port, 1)) {
			if string(f[:12]) == string(clear[:12]) {
				t.Errorf("it left: %x", f)
			}
			if string(f[:12]) == string(macsec[:12]) {
				left++
			}
		}
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if left != 1 || c.Egress.Tagged.Packets == 0 || c.Egress.MACsec.Packets != 1 {
			t.Errorf("%d MACsec frames left; egress counters %+v", left, c.Egress)
		}
		circuits, err := e.OuterCircuits()
		if err != nil {
			t.Fatal(err)
		}
		if len(circuits) != 1 || circuits[0].CTag != 10 || circuits[0].Direction != OfEgress || circuits[0].Packets != 1 {
			t.Errorf("circuits %+v", circuits)
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
