package interop

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestUserspaceRekey has the key server replace the SAK for its age, under
// traffic. In short, with one end as key server.
func TestUserspaceRekey(t *testing.T) {
	t.Parallel()
	const often = "hello: 1s, life: 3s, rekey: 3s"
	for _, server := range times([]string{"west", "east"}, []string{"west"}) {
		t.Run("key server "+server, func(t *testing.T) {
			t.Parallel()
			west, east := lab.Port{Priority: wins, MKA: often}, lab.Port{Priority: loses, MKA: often}
			if server == "east" {
				west.Priority, east.Priority = loses, wins
			}
			p := newUserspace(t, lab.Options{}, west, east)
			key := p.start(t)[0].Tx.Key
			sealed := p.bridged(t)
			x, done := p.keeps(t)
			rounds := times(20, 1)
			for range rounds {
				// Not that the one before is gone: the next comes first.
				fresh := func(s status.Port) bool { return secured(s) && s.Tx != nil && s.Tx.Key != key }
				key = wait(t, "a fresh SAK at both ends", fresh, p.both()...)[0].Tx.Key
			}
			flows(t, x, 20)
			c := done()
			p.clean(t)
			sealed()
			figure(t, "user space to kernel: SAK replaced %d times under traffic at 5 ms: %d of %d datagrams lost", rounds, c.Lost(), c.Sent)
		})
	}
}

// TestUserspaceRollover changes the CAK under traffic, one way with west first,
// the other with east first. In soak, each way often, the ends in turn.
func TestUserspaceRollover(t *testing.T) {
	t.Parallel()
	p := newUserspace(t, lab.Options{}, lab.Port{Cipher: "gcm-aes-xpn-256"}, lab.Port{Cipher: "gcm-aes-xpn-256"})
	p.start(t)
	sealed := p.bridged(t)
	x, done := p.keeps(t)
	rounds := times(10, 1)
	for i, style := range rollings {
		for round := range rounds {
			p.roll(t, style, (round+i)%2 == 0)
			flows(t, x, 20)
		}
	}
	c := done()
	nothingToPlan(t, p.both()...)
	p.clean(t)
	sealed()
	figure(t, "user space to kernel: CAK rollover %d times under traffic at 5 ms: %d of %d datagrams lost; ifindex, addresses and routes the same", len(rollings)*rounds, c.Lost(), c.Sent)
}

// TestUserspaceKilled ends the process that moves the frames with SIGKILL and
// starts it again. Meanwhile nothing passes: the tap has no carrier, and the
// filter drops what is sent past it. The tap, its addresses and its routes are
// the same afterwards, and the SAK is a fresh one.
func TestUserspaceKilled(t *testing.T) {
	t.Parallel()
	p := newUserspace(t, lab.Options{}, lab.Port{}, lab.Port{})
	ports := p.start(t)
	sealed := p.bridged(t)
	carries(t, p.west, p.east)
	before := device(t, p.west)
	for range times(10, 1) {
		old := ports[0].Tx
		check(t, p.west.Kill())
		eventually(t, "the tap to have no carrier", func() bool { return strings.Contains(describe(t, p.west), "NO-CARRIER") })
		if now := describe(t, p.west); !strings.Contains(now, p.west.Address.String()) {
			t.Errorf("the address went with the process:\n%s", now)
		}
		wire, err := p.WatchBridge(0)
		check(t, err)
		check(t, lab.SendClear(p.west, 20))
		host, err := lab.OpenSender(p.west, lab.Interface, false)
		check(t, err)
		frame := lab.EtherFrame(p.east.MAC, p.west.MAC, experiment, make([]byte, 46))
		for range 20 {
			// It may say that the network is down.
			if err := host.Send(frame); err != nil && !errors.Is(err, unix.ENETDOWN) {
				t.Error(err)
			}
		}
		check(t, host.Close())
		start := time.Now()
		check(t, p.west.Start())
		fresh := func(s status.Port) bool { return s.State == status.Secured && s.Tx != nil && s.Tx.Key != old.Key }
		wait(t, "a fresh SAK at both ends", fresh, p.both()...)
		took := time.Since(start)
		ports = p.settled(t, p.key.CKN)
		watched(t, "of west, killed", wire)()
		carries(t, p.west, p.east)
		figure(t, "user space to kernel: killed; secured with a fresh SAK %v after its start", took.Round(10*time.Millisecond))
	}
	if after := device(t, p.west); after != before {
		t.Errorf("the device was\n%s\nand is\n%s", before, after)
	}
	nothingToPlan(t, p.both()...)
	sealed()
}

// TestDoctorAuto: where the kernel has MACsec auto takes it, and doctor says so.
func TestDoctorAuto(t *testing.T) {
	t.Parallel()
	need(t, lab.Port{Cipher: "gcm-aes-xpn-256"})
	binary, err := found()
	check(t, err)
	out, err := exec.Command(binary, "doctor").CombinedOutput()
	check(t, err)
	said := ""
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "dataplane: auto") {
			said = line
		}
	}
	if !strings.Contains(said, "kernel: ") {
		t.Errorf("doctor says of it %q\n%s", said, out)
	}
}
