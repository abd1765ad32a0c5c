package drops

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string { j.mu.Lock(); defer j.mu.Unlock(); return j.b.String() }

// A filter that comes after its reader, is changed, taken away and set anew
// is followed: its events are in the log and in status.
func TestFollows(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket, probe.BPF, probe.XDPNative)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	do := func(f func() error) {
		t.Helper()
		if err := ns.Do(f); err != nil {
			t.Fatal(err)
		}
	}
	var index, fd int
	do(func() (err error) {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port"}, PeerName: "peer"}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		index = v.Attrs().Index
		peer, err := netlink.LinkByName("peer")
		if err != nil {
			return err
		}
		for _, name := range []string{"port", "peer"} { // no frames but the test's
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := netlink.LinkSetUp(v); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(peer); err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: peer.Attrs().Index})
	})
	defer unix.Close(fd)
	filter := bpf.Filter{EAPOLDestination: [6]byte{1, 0x80, 0xc2, 0, 0, 3}, EtherType: 0x888e}
	attach := func() {
		do(func() error {
			e, err := bpf.Attach(index, filter)
			if err != nil {
				return err
			}
			return e.Close()
		})
	}
	var log journal
	w := New(slog.New(slog.NewTextHandler(&log, nil)), ns.Do)
	defer w.Close()
	follow := func() { w.Follow(map[string]int{"link1": index}) }
	report := func() status.Port {
		p := status.Port{Name: "link1"}
		p.Drops = w.Report(p.Name)
		return p
	}
	// until sends frames from that address until one of them is in status.
	until := func(last byte) {
		t.Helper()
		frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, last, 0x88, 0xb5}, make([]byte, 46)...)
		source := "02:00:00:00:00:0" + string('0'+last)
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for deadline := time.Now().Add(20 * time.Second); ; <-pause.C {
			if _, err := unix.Write(fd, frame); err != nil && err != unix.ENOBUFS && err != unix.ENETDOWN {
				t.Fatal(err)
			}
			for _, e := range report().Events {
				if e.Source == source {
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("no event of %s; %s", source, log.String())
			}
		}
	}
	follow()
	if p := report(); len(p.Events) != 0 {
		t.Errorf("without a filter there are %v", p.Events)
	}
	attach()
	follow()
	until(1)
	filter.Allow = []bpf.Protocol{bpf.LLDP}
	attach()
	until(2)
	do(func() error { return bpf.Detach(index) })
	attach()
	until(3)
	p := report()
	last, seen := p.EventLastSeen["ingress_dropped"]
	if _, never := p.EventLastSeen["egress_tagged"]; !seen || never || !last.Equal(p.Events[0].Time) {
		t.Errorf("last seen: %v, of %+v", p.EventLastSeen, p.Events)
	}
	if p.EventCounters["ingress_dropped"] < 3 || p.EventsLost != 0 || p.Events[0].Direction != "ingress" || p.Events[0].EtherType != "0x88b5" || len(p.Events) > kept {
		t.Errorf("%+v", p)
	}
	if all := log.String(); strings.Count(all, "the filter drops frames") > 4 || !strings.Contains(all, "reason=dropped") || !strings.Contains(all, "ethertype 0x88b5") {
		t.Error(all)
	}
	w.Follow(nil)
	if p := report(); p.Events != nil {
		t.Errorf("a port that is not followed has %v", p.Events)
	}
}
