package userspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// injector sends clear frames from an appliance's port, as fast as it can.
type injector struct {
	sent atomic.Uint64
	stop func()
}

func inject(t *testing.T, from *lab.Appliance, frame []byte) *injector {
	t.Helper()
	s, err := lab.OpenSender(from, lab.Device, false)
	check(t, err)
	i := &injector{}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if s.Send(frame) == nil { // else the port is down
				i.sent.Add(1)
			}
		}
	})
	i.stop = func() { cancel(); done.Wait(); s.Close() }
	t.Cleanup(i.stop)
	return i
}

// clearHeard counts the clear frames that a port receives.
func clearHeard(t *testing.T, a *lab.Appliance) *atomic.Uint64 {
	t.Helper()
	n := &atomic.Uint64{}
	tap, err := lab.Listen(a, lab.Device, func(f lab.Frame) {
		if !f.Outgoing && f.EtherType() != 0x88e5 && f.EtherType() != 0x888e {
			n.Add(1)
		}
	})
	check(t, err)
	t.Cleanup(func() { tap.Close() })
	return n
}

// Clear frames at full rate, out of west's port and at it, from before its daemon
// first starts and through all that befalls it: none passes, and each that was
// sent is counted. Nor does any socket get what would pass the filter by.
func TestClearInjected(t *testing.T) {
	l := newLab(t, lab.Options{Names: []string{"west", "east", "mallory"}})
	p := &pair{l, l.Appliances[0], l.Appliances[1], key(t)}
	mallory := l.Appliances[2]
	check(t, p.configure(lab.Port{}), p.west.WriteKeys(p.key), p.east.WriteKeys(p.key))
	ip(t, p.west, "link set "+lab.Device+" down")
	outside, inside := clearHeard(t, mallory), clearHeard(t, p.west)
	out := inject(t, p.west, lab.EtherFrame(mallory.MAC, p.west.MAC, 0x88b5, make([]byte, 46)))
	in := inject(t, mallory, lab.EtherFrame(p.west.MAC, mallory.MAC, 0x88b5, make([]byte, 46)))

	phase := func(what string, do func()) {
		t.Helper()
		a, b := out.sent.Load(), in.sent.Load()
		do()
		eventually(t, "frames to be sent both ways, "+what, func() bool { return out.sent.Load() > a && in.sent.Load() > b })
		if o, i := outside.Load(), inside.Load(); o+i > 0 {
			t.Fatalf("%s: %d clear frames left the port, %d came in", what, o, i)
		}
		if s, err := lab.OpenSender(p.west, lab.Device, true); !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: PACKET_QDISC_BYPASS: %v; want EPERM", what, err)
			if err == nil {
				s.Close()
			}
		}
	}
	restart := func() {
		check(t, p.west.Start())
		p.settled(t)
	}
	phase("start", func() { check(t, p.west.Start(), p.east.Start()); p.settled(t) })
	for round := 0; round == 0 || soak() && out.sent.Load() < 10_000_000; round++ {
		phase("reload", func() {
			for _, extra := range [][]string{{"allow: [lldp]"}, nil} {
				check(t, p.west.WriteConfig(lab.Port{Dataplane: "userspace", Extra: extra}))
				said, errs, st, err := p.west.Verb(t.Context(), "reload", "--config", p.west.ConfigFile())
				check(t, err)
				if st != 0 {
					t.Fatalf("reload: %s%s", said, errs)
				}
			}
		})
		phase("key rotation", func() {
			p.key = key(t)
			check(t, p.west.WriteKeys(p.key), p.east.WriteKeys(p.key))
			p.settled(t)
		})
		phase("kill -9", func() { check(t, p.west.Kill()) })
		phase("start after it", restart)
		phase("upgrade", func() {
			other := filepath.Join(p.west.Dir, fmt.Sprintf("linkseal-%d", round))
			check(t, copyFile(linkseal(t), other))
			p.west.Wrap = func(argv []string) []string { return append([]string{other}, argv[1:]...) }
			check(t, p.west.Kill())
			restart()
		})
		phase("stop", func() { check(t, p.west.Stop(t.Context())) })
		phase("start after it", restart)
	}
	out.stop()
	in.stop()
	var got status.Port
	eventually(t, "the filter's counters to rest", func() bool {
		before := got.Filter["ingress_dropped_packets"]
		var err error
		got, err = p.west.Status(t.Context())
		return err == nil && before > 0 && got.Filter["ingress_dropped_packets"] == before
	})
	if n := got.Filter["egress_dropped_packets"]; n != out.sent.Load() {
		t.Errorf("egress: %d frames were sent, %d counted as dropped", out.sent.Load(), n)
	}
	if n := got.Filter["ingress_dropped_packets"]; n == 0 || n > in.sent.Load() { // a busy bridge may lose some
		t.Errorf("ingress: %d frames were sent, %d counted as dropped", in.sent.Load(), n)
	}
	if o, i := outside.Load(), inside.Load(); o+i > 0 {
		t.Errorf("%d clear frames left the port, %d came in", o, i)
	}
	figure(t, "through start, reload, key rotation, kill -9, upgrade and stop: 0 of %d clear frames left, and %d were counted; 0 of %d came in, %d counted (%s)",
		out.sent.Load(), got.Filter["egress_dropped_packets"], in.sent.Load(), got.Filter["ingress_dropped_packets"], got.Enforcement)
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

// How long a port is open when somebody takes the filter off by hand: told in the
// log, and put back.
func TestFilterOffByHand(t *testing.T) {
	p := newPair(t, lab.Options{}, lab.Port{})
	p.start(t)
	whole := func() (both bool) {
		check(t, p.west.NS.Do(func() error {
			ifi, err := index(lab.Device)
			if err != nil {
				return err
			}
			s, err := bpf.Observe(ifi)
			both = s.Ingress.Mode != 0 && s.Egress.Mode != 0
			return err
		}))
		return both
	}
	for _, hand := range []struct {
		what string
		do   func()
	}{
		{"ip link set xdp off", func() { ip(t, p.west, "link set "+lab.Device+" xdp off") }},
		{"all programs off the egress", func() { check(t, p.west.NS.Do(takeEgress)) }},
	} {
		var worst, sum time.Duration
		rounds := times(50, 5)
		for range rounds {
			logged := strings.Count(p.west.Log(), `step="filter `)
			hand.do()
			start := time.Now()
			eventually(t, hand.what+": the filter to be put back", whole)
			took := time.Since(start)
			worst, sum = max(worst, took), sum+took
			eventually(t, hand.what+": the log to tell", func() bool { return strings.Count(p.west.Log(), `step="filter `) > logged })
		}
		figure(t, "%s: the filter is back after %v, %v at the most", hand.what, (sum / time.Duration(rounds)).Round(time.Millisecond), worst.Round(time.Millisecond))
	}
}
