package reconcile

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// What the filter of a port saw is read whole: every verdict in both directions,
// and the tags before the SecTAG. A filter that only counts tells the same way;
// where there is none, or no device, there is nothing.
func TestFilterRead(t *testing.T) {
	probetest.Need(t, append(needsTap, probe.AFPacket)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		read := func() (map[string]uint64, []status.Circuit) {
			counts, err := k.FilterCounters("eth1")
			if err != nil {
				t.Fatal(err)
			}
			circuits, err := k.OuterCircuits("eth1")
			if err != nil {
				t.Fatal(err)
			}
			return counts, circuits
		}
		if counts, circuits := read(); counts != nil || circuits != nil {
			t.Errorf("without a filter: %v, %v", counts, circuits)
		}
		if circuits, err := k.OuterCircuits("eth9"); circuits != nil || err != nil {
			t.Errorf("of no device: %v, %v", circuits, err)
		}
		d := plan.Desired{Ports: []plan.Port{tapPort()}}
		applyAll(t, k, d, nil)
		counts, circuits := read()
		if want := 2 * 2 * reflect.TypeFor[bpf.Verdicts]().NumField(); len(counts) != want || len(circuits) != 0 {
			t.Errorf("%d counters, want %d; %v", len(counts), want, circuits)
		}
		l, err := k.links.ByName("eth1")
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		frame := make([]byte, 64) // of no key: its circuit is the rest
		copy(frame, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0, 100, 0x81, 0, 0, 10, 0x88, 0xe5, 0x2c})
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Index}); err != nil {
			t.Fatal(err)
		}
		see := func() {
			t.Helper()
			counts, circuits := read()
			if counts["egress_macsec_packets"] != 1 || counts["egress_macsec_octets"] != 64 || len(circuits) != 1 || circuits[0].Name() != "rest" ||
				circuits[0].Direction != "egress" || circuits[0].Packets != 1 || circuits[0].Octets != 64 || circuits[0].LastSeen == nil {
				t.Errorf("%v, %+v", counts, circuits)
			}
		}
		see()
		d.Ports[0].Must = false
		applyAll(t, k, d, nil)
		see()
	})
}
