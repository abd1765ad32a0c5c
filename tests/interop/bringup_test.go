package interop

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/lab"
)

// experiment is the EtherType of the frames that try the link.
const experiment = 0x88b5

// bringUp is what was seen when two ends came up. Both kinds of peers are
// measured by the same taps: at the first end's port for what is on the wire,
// and at the MACsec devices for what was decrypted and accepted. An AF_PACKET
// socket at each end tries to send a data frame every millisecond from when
// the end's MACsec device exists, so that nothing is waited for but the SAs.
type bringUp struct {
	mu       sync.Mutex
	hello    time.Time            // the first MKPDU of either
	wire     map[string]time.Time // by source: the first MACsec frame
	received map[string]time.Time // by appliance: the first data frame
}

// watchBringUp is to be called before either end runs.
func watchBringUp(t *testing.T, ends []*lab.Appliance) *bringUp {
	t.Helper()
	b := &bringUp{wire: map[string]time.Time{}, received: map[string]time.Time{}}
	tap, err := lab.Listen(ends[0], lab.Device, func(f lab.Frame) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch f.EtherType() {
		case 0x888e:
			if b.hello.IsZero() {
				b.hello = f.At
			}
		case 0x88e5:
			if b.wire[f.Source()].IsZero() {
				b.wire[f.Source()] = f.At
			}
		}
	})
	check(t, err)
	t.Cleanup(func() { tap.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	var trying sync.WaitGroup
	t.Cleanup(func() { cancel(); trying.Wait() })
	for i, a := range ends {
		trying.Go(func() { b.try(ctx, a, ends[1-i].MAC) })
	}
	return b
}

// try sends from an appliance's MACsec device as soon as there is one, and
// notes what comes out of it.
func (b *bringUp) try(ctx context.Context, a *lab.Appliance, to net.HardwareAddr) {
	frame := lab.EtherFrame(to, a.MAC, experiment, make([]byte, 46))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var s *lab.Sender
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s == nil {
			name, err := macsecDevice(a)
			if err != nil {
				continue
			}
			tap, err := lab.Listen(a, name, func(f lab.Frame) {
				if f.EtherType() != experiment || f.Outgoing {
					return
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				if b.received[a.Name].IsZero() {
					b.received[a.Name] = f.At
				}
			})
			if err != nil {
				continue
			}
			defer tap.Close()
			if s, err = lab.OpenSender(a, name, false); err != nil {
				return
			}
			defer s.Close()
		}
		s.Send(frame) // it fails until the device is up
	}
}

// macsecDevice finds the appliance's MACsec device, finished and up. One that
// is down it sets up: wpa_supplicant leaves that to the operator.
func macsecDevice(a *lab.Appliance) (name string, err error) {
	err = a.NS.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Type() != "macsec" {
				continue
			}
			name = l.Attrs().Name
			switch {
			case l.Attrs().Flags&net.FlagUp != 0:
				return nil
			case a.Pid() != 0: // linkseal does it itself
				return unix.ENETDOWN
			}
			return netlink.LinkSetUp(l)
		}
		return errNoDevice
	})
	return name, err
}

// took is how long it was from the first hello to the first protected frame on
// the wire, and until both ends had received one.
func (b *bringUp) took(t *testing.T) (first, both time.Duration) {
	t.Helper()
	eventually(t, "the first protected frames", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.received) == 2 && len(b.wire) == 2
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	var wire, received []time.Duration
	for _, at := range b.wire {
		wire = append(wire, at.Sub(b.hello))
	}
	for _, at := range b.received {
		received = append(received, at.Sub(b.hello))
	}
	return slices.Min(wire), slices.Max(received)
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// TestBringUp compares how long a pair of linksealds and a pair of
// wpa_supplicants take from the first hello to protected traffic, in one boot.
func TestBringUp(t *testing.T) {
	rounds := times(9, 3)
	var ours, oursBoth, theirs, theirsBoth []time.Duration
	for range rounds {
		t.Run("linkseal", func(t *testing.T) {
			p := newPair(t, lab.Options{}, lab.Port{Cipher: "gcm-aes-128"})
			b := watchBringUp(t, p.both())
			check(t, p.west.Start(), p.east.Start())
			first, both := b.took(t)
			p.settled(t, p.key.CKN)
			ours, oursBoth = append(ours, first), append(oursBoth, both)
		})
		t.Run("wpa_supplicant", func(t *testing.T) {
			l := newLab(t, lab.Options{Names: []string{"west", "east"}})
			k := key(t, 16, 16)
			b := watchBringUp(t, l.Appliances)
			for i, a := range l.Appliances {
				s := newSupplicant(t, a)
				s.write(t, peerConf{key: k, priority: 16 + i})
				s.launch(t)
			}
			first, both := b.took(t)
			theirs, theirsBoth = append(theirs, first), append(theirsBoth, both)
		})
	}
	if t.Failed() || len(ours) < rounds || len(theirs) < rounds {
		t.Fatal("not every round came up")
	}
	round := time.Millisecond
	figure(t, "bring-up, first hello to first protected frame, median of %d: linkseal %v %v, wpa_supplicant %v %v: 1/%.1f",
		rounds, median(ours).Round(round), ours, median(theirs).Round(round), theirs, float64(median(theirs))/float64(median(ours)))
	figure(t, "bring-up, first hello to both ends having received a protected frame, median of %d: linkseal %v, wpa_supplicant %v: 1/%.1f",
		rounds, median(oursBoth).Round(round), median(theirsBoth).Round(round), float64(median(theirsBoth))/float64(median(oursBoth)))
	if 20*median(ours) > median(theirs) {
		t.Errorf("first protected frame after %v, more than 1/20 of %v", median(ours), median(theirs))
	}
	if 20*median(oursBoth) > median(theirsBoth) {
		t.Errorf("both ways after %v, more than 1/20 of %v", median(oursBoth), median(theirsBoth))
	}
}

var errNoDevice = errors.New("no MACsec device")
