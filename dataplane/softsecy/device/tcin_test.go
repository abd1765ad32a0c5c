package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// refuseXDP puts a device upon the port that has an XDP program of its own: the
// kernel lets the port have none.
func (e *side) refuseXDP(t testing.TB) {
	t.Helper()
	e.do(t, func() error {
		const pass = 2
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()}})
		if err != nil {
			return err
		}
		defer p.Close()
		above := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "above", ParentIndex: e.port.Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}
		return errors.Join(netlink.LinkAdd(above), netlink.LinkSetXdpFdWithFlags(above, p.FD(), unix.XDP_FLAGS_SKB_MODE))
	})
}

// When XDP was taken away and cannot be put back, the filter feeds no sockets: the
// Device says so, and the next has packet sockets, which the filter counts for.
func TestNoXDPAnyMore(t *testing.T) {
	p := newPair(t, setting{mtu: 1500})
	p.secure(t)
	echo(t, p.west, p.east, 100)
	e := p.east
	if how := e.d.PortIO(); !strings.HasPrefix(how, "AF_XDP") {
		t.Fatal(how)
	}
	e.do(t, func() error { return bpf.Detach(e.port.Index) })
	e.refuseXDP(t)
	e.do(t, func() error {
		f, err := bpf.Attach(e.port.Index, bpf.Filter{EtherType: eapol})
		if err == nil {
			t.Cleanup(func() { f.Close() })
			e.filter = f
		}
		return err
	})
	e.do(t, func() error {
		if e.d.FilterSet() {
			t.Error("the filter is said to feed the sockets")
		}
		return nil
	})
	if err := e.d.Close(); err != nil {
		t.Fatal(err)
	}
	e.open(t)
	if how := e.d.PortIO(); !strings.HasPrefix(how, "packet socket") || !strings.Contains(how, "by tc") {
		t.Errorf("frames reach the port by %s", how)
	}
	e.do(t, func() error {
		if !e.d.FilterSet() {
			t.Error("packet sockets are said not to work")
		}
		return nil
	})
	p.change(t, 1) // keys are a Device's
	p.set(t, sa.Secured)
	echo(t, p.west, e, 18, 1440, 9000)
	newStream(t, p.west, e).run(t, 1<<20, nil)
	await(t, "the filter's counters", func() bool { // it is behind the socket
		c, err := e.filter.Counters()
		if err != nil {
			t.Fatal(err)
		}
		return c.Ingress.MACsec.Octets > 1<<20 && c.Egress.MACsec.Packets > 0
	})
}
