package userspace

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// A must filter that somebody takes away is put back, and frames pass AF_XDP
// again, without another SAK.
func TestFilterTaken(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{MKA: steady})
	tx := p.start(t)[0].Tx
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 20)
	for round := range times(20, 4) {
		// XDP feeds the sockets; with tc's half goes the last that holds their map.
		if round%2 == 1 {
			check(t, p.west.NS.Do(takeEgress))
		}
		ip(t, p.west, "link set "+lab.Device+" xdp off")
		eventually(t, "the filter to be put back", func() bool { return strings.Contains(ip(t, p.west, "link show "+lab.Device), "xdp") })
		d.flow(t, 200)
	}
	s := p.settled(t)[0]
	if s.Tx.Key != tx.Key || !strings.HasPrefix(s.PortIO, "AF_XDP") {
		t.Errorf("the SA was %+v and is %+v; port_io %s", *tx, *s.Tx, s.PortIO)
	}
	nothingToPlan(t, p.both()...)
	// The filter holds: what is sent in clear at the port is dropped.
	check(t, lab.SendClear(p.west, 10))
	wait(t, "the filter's counters", func(s status.Port) bool { return s.Filter["egress_dropped_packets"] >= 10 }, p.west)
}

// takeEgress takes all programs from the egress of the calling thread's port:
// from TCX, or from tc where the kernel has no TCX.
func takeEgress() error {
	ifi, err := net.InterfaceByName(lab.Device)
	if err != nil {
		return err
	}
	all, err := link.QueryPrograms(link.QueryOptions{Target: ifi.Index, Attach: ebpf.AttachTCXEgress})
	if err != nil || len(all.Programs) == 0 {
		return exec.Command("tc", "qdisc", "del", "dev", lab.Device, "clsact").Run()
	}
	for _, one := range all.Programs {
		p, err := ebpf.NewProgramFromID(one.ID)
		if err != nil {
			return err
		}
		err = errors.Join(link.RawDetachProgram(link.RawDetachProgramOptions{Target: ifi.Index, Program: p, Attach: ebpf.AttachTCXEgress}), p.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// index is a device's in the calling thread's namespace.
func index(device string) (int, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return 0, err
	}
	return ifi.Index, nil
}
