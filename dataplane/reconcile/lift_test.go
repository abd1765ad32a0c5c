package reconcile

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// Where XDP is refused ingress is in tc: told with the reason, nothing is left to
// do, and XDP is had again when a minute has passed.
func TestLift(t *testing.T) {
	probetest.Need(t, needs...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		eth1, err := netlink.LinkByName("eth1")
		if err != nil {
			t.Fatal(err)
		}
		const pass = 2
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		above := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "above", ParentIndex: eth1.Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}
		if err := errors.Join(netlink.LinkAdd(above), netlink.LinkSetXdpFdWithFlags(above, p.FD(), unix.XDP_FLAGS_SKB_MODE)); err != nil {
			t.Fatal(err)
		}
		d := plan.Desired{Ports: []plan.Port{desiredPort()}}
		filter := plan.Step{Kind: plan.SetFilter, Device: "eth1", Filter: &d.Ports[0].Filter}
		if err := k.Apply(filter); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if f, there := observe(t, k, d).Filters["eth1"]; !there || !f.Equal(*filter.Filter) {
				t.Errorf("filter %v, there: %v", f, there)
			}
			e := k.Enforcement("eth1")
			if e == nil || e.Ingress != e.Egress || !strings.Contains(e.NoXDP, "a device upon this one") || !strings.Contains(e.String(), "not XDP (") {
				t.Fatalf("enforced: %+v, %s", e, e)
			}
		}
		if err := netlink.LinkSetXdpFdWithFlags(above, -1, unix.XDP_FLAGS_SKB_MODE); err != nil {
			t.Fatal(err)
		}
		observe(t, k, d)
		if e := k.Enforcement("eth1"); e == nil || e.Ingress != e.Egress {
			t.Errorf("it was tried again at once: %+v", e)
		}
		last := k.lifts["eth1"]
		last.when = last.when.Add(-liftEvery)
		k.lifts["eth1"] = last
		observe(t, k, d)
		if e := k.Enforcement("eth1"); e == nil || e.Ingress != "native" || e.NoXDP != "" || !strings.HasPrefix(e.String(), "ingress XDP native, ") {
			t.Errorf("when XDP can be had: %+v, %s", e, e)
		}
		if f := observe(t, k, d).Filters["eth1"]; !f.Equal(*filter.Filter) {
			t.Errorf("filter %v", f)
		}
	})
}
