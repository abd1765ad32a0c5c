package tunnels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// Suite is where and in what length the tests run.
type Suite struct {
	// Lab builds one, and closes it when the test ends.
	Lab       func(*testing.T, lab.Options) *lab.Lab
	Type      string // of lab.Tunnel
	Dataplane string // userspace or kernel
	// Patience bounds every wait for a state.
	Patience time.Duration
	Soak     bool // all in full
}

// pair is two linksealds with tunnels between them, and who listens on the
// underlay.
type pair struct {
	Suite
	*lab.Lab
	west, east *lab.Appliance
	wires      []*lab.UnderlayWire
	tunnels    []lab.Tunnel
}

// pair builds one with these tunnels, and others beside them on the underlay. It
// starts nothing.
func (s Suite) pair(t *testing.T, o lab.Options, tunnels ...lab.Tunnel) *pair {
	t.Helper()
	o.Names, o.Bridge = append([]string{"west", "east"}, o.Names...), true
	l := s.Lab(t, o)
	p := &pair{Suite: s, Lab: l, west: l.Appliances[0], east: l.Appliances[1]}
	check(t, l.Underlay(len(tunnels)), l.PSKs("first"), p.configure(tunnels...))
	for i := range 2 {
		w, err := l.WatchUnderlay(i)
		check(t, err)
		t.Cleanup(func() { w.Close() })
		p.wires = append(p.wires, w)
	}
	check(t, l.CountClear())
	return p
}

// configure writes both ends' configuration.
func (p *pair) configure(tunnels ...lab.Tunnel) error {
	p.tunnels = slices.Clone(tunnels)
	for i := range p.tunnels {
		p.tunnels[i].Type, p.tunnels[i].Dataplane = cmp.Or(p.tunnels[i].Type, p.Type), p.Suite.Dataplane
	}
	return errors.Join(p.west.WriteTunnels(p.east, p.tunnels...), p.east.WriteTunnels(p.west, p.tunnels...))
}

func (p *pair) both() []*lab.Appliance { return []*lab.Appliance{p.west, p.east} }

// start starts both ends and waits until all members of all tunnels are live.
func (p *pair) start(t *testing.T) [][]status.Tunnel {
	t.Helper()
	check(t, p.west.Start(), p.east.Start())
	return p.secured(t)
}

func (p *pair) secured(t *testing.T) [][]status.Tunnel {
	t.Helper()
	all := p.wait(t, "all members to be live", func(s status.Tunnel) bool { return lab.Carried(s, "") })
	for i, a := range p.both() {
		for _, s := range all[i] {
			if s.Dataplane != p.Suite.Dataplane {
				t.Fatalf("%s: dataplane %s: %s", a.Name, s.Dataplane, s.DataplaneReason)
			}
		}
	}
	return all
}

// member is the interface of west's member n of its first tunnel: charon in user
// space names its own.
func (p *pair) member(t *testing.T, n int) string {
	t.Helper()
	first := p.tunnel(t, p.west)
	if len(first.Members) <= n {
		t.Fatalf("west tells of no member %d: %+v", n, first)
	}
	return first.Members[n].Interface
}

// wait is lab.WaitTunnels of both ends that ends the test. Both have all tunnels
// that are configured.
func (p *pair) wait(t *testing.T, what string, ok func(status.Tunnel) bool) [][]status.Tunnel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), p.Patience)
	defer cancel()
	all, err := lab.WaitTunnels(ctx, what, ok, p.both()...)
	check(t, err)
	for i, a := range p.both() {
		if len(all[i]) != len(p.tunnels) {
			t.Fatalf("%s has %d tunnels; %d are configured", a.Name, len(all[i]), len(p.tunnels))
		}
	}
	return all
}

// traffic starts a stream of datagrams through tunnel n, from site to site.
func (p *pair) traffic(t *testing.T, n int, every time.Duration) *lab.Traffic {
	t.Helper()
	x, err := lab.StartThrough(p.west, p.east, p.west.Site(n), p.east.Site(n), every)
	check(t, err)
	t.Cleanup(func() { x.Stop() })
	return x
}

// flows waits until that many more datagrams have gone both ways.
func (p *pair) flows(t *testing.T, x *lab.Traffic, more uint64) {
	t.Helper()
	want := x.Count().Answered + more
	p.eventually(t, fmt.Sprintf("%d answers", more), func() bool { return x.Count().Answered >= want })
}

// none demands that nothing of what is protected was in clear on the underlay:
// captured, and counted by nftables at the far end of each cable.
func (p *pair) none(t *testing.T, when string) {
	t.Helper()
	for i, w := range p.wires {
		if n := w.Count(); n.Protected > 0 {
			t.Fatalf("%s: %s has sent %d packets of what is protected in clear; the last began %x", when, p.both()[i].Name, n.Protected, w.LastClear())
		}
		n, err := p.ClearCounted(i)
		check(t, err)
		if n > 0 {
			t.Fatalf("%s: at the far end of %s's cable %d addresses of what is protected were counted, and no such packet was captured", when, p.both()[i].Name, n)
		}
	}
}

// reload has both ends read their files, and waits until they have.
func (p *pair) reload(t *testing.T) {
	t.Helper()
	for _, a := range p.both() {
		p.verb(t, a, "reload")
	}
}

// verb runs linkseal with the appliance's configuration, and demands that it
// succeeds.
func (p *pair) verb(t *testing.T, a *lab.Appliance, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), p.Patience)
	defer cancel()
	out, errs, st, err := a.Verb(ctx, append(args, "--config", a.ConfigFile())...)
	check(t, err)
	if st != 0 {
		t.Fatalf("linkseal %v at %s: exit status %d\n%s%s", args, a.Name, st, out, errs)
	}
	return out
}

// rotate changes the PSK of all tunnels by the verb, with the file brought to
// east, and waits until both ends are under it.
func (p *pair) rotate(t *testing.T) (id, said string) {
	t.Helper()
	before, err := p.west.PSKIDs()
	check(t, err)
	told := make(chan string, 1)
	failed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 4*p.Patience) // it waits for many things
	defer cancel()
	go func() {
		out, errs, st, err := p.west.Verb(ctx, "rotate", "hub1", "--config", p.west.ConfigFile())
		if err == nil && st != 0 {
			err = fmt.Errorf("linkseal rotate: exit status %d: %s%s", st, out, errs)
		}
		failed <- err
		told <- out
	}()
	p.eventually(t, "a new PSK in west's file", func() bool {
		ids, err := p.west.PSKIDs()
		for _, known := range ids {
			if !slices.Contains(before, known) {
				id = known
			}
		}
		return err == nil && id != ""
	})
	check(t, p.east.TakeKeys(p.west), <-failed)
	p.wait(t, "both ends to be under PSK "+id, func(s status.Tunnel) bool { return lab.Carried(s, id) })
	return id, <-told
}

// eventually polls until ok, for what no appliance tells.
func (p *pair) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(p.Patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain for %s", p.Patience, what)
		}
	}
}

// times is how often or how long something is done: in full, or shortened.
func times[N int | time.Duration](s Suite, full, short N) N {
	if s.Soak {
		return full
	}
	return short
}

// figure prints a measurement where make test shows it.
func (s Suite) figure(format string, args ...any) {
	fmt.Printf("figure: %s in %s: %s\n", s.Type, s.Dataplane, fmt.Sprintf(format, args...))
}

// ip runs ip(8) at an appliance.
func ip(t *testing.T, a *lab.Appliance, args string) string {
	t.Helper()
	return command(t, a, "ip", strings.Fields(args)...)
}

// command runs a command in an appliance's network namespace.
func command(t *testing.T, a *lab.Appliance, name string, args ...string) string {
	t.Helper()
	out, err := a.NS.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v at %s: %v: %s", name, args, a.Name, err, out)
	}
	return string(out)
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
