package userspace

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/built"
	"github.com/linkseal/linkseal/tests/kill"
	"github.com/linkseal/linkseal/tests/lab"
)

// patience bounds every wait for a state: the machine may have other things to
// do.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	kill.Main()
	flag.Parse()
	// Links that only wait for each other's timers may do it side by side.
	if f := flag.Lookup("test.parallel"); f != nil {
		f.Value.Set("6")
	}
	// The daemons' state is in memory: each SAK is saved before it is used, and a
	// disk that others keep busy holds MKA up for it, by seconds at times.
	if _, err := os.Stat(memory); err == nil && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", memory)
	}
	os.Exit(m.Run())
}

const memory = "/dev/shm"

// soak tells whether all is done in full.
func soak() bool { return os.Getenv("LINKSEAL_SOAK") == "1" }

// times is how often or how long something is done: in full, or shortened.
func times[N int | time.Duration](full, short N) N {
	if soak() {
		return full
	}
	return short
}

// figure prints a measurement where make test shows it.
func figure(t *testing.T, format string, args ...any) {
	t.Helper()
	fmt.Printf("figure: %s\n", fmt.Sprintf(format, args...))
}

// linkseal is the linkseal under test. Without root nothing here can run; with
// it, what a machine lacks of what these tests need fails them.
func linkseal(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
	path, err := built.Linkseal()
	check(t, err)
	return path
}

// newLab builds one for the test, and shows the daemons' logs if it fails.
func newLab(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Binary = linkseal(t)
	l, err := lab.New(o)
	check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, a := range l.Appliances {
				if log := a.Log(); log != "" {
					t.Logf("%s's log:\n%s", a.Name, log)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Errorf("closing the lab: %v", err)
		}
	})
	return l
}

// pair is two linksealds whose SecYs are in user space.
type pair struct {
	*lab.Lab
	west, east *lab.Appliance
	key        lab.Key
}

// newPair writes both ends' files and starts nothing. Without a man in the
// middle a bridge is between the ends: there all is heard that is on the wire.
func newPair(t *testing.T, o lab.Options, p lab.Port) *pair {
	t.Helper()
	o.Names, o.Bridge = []string{"west", "east"}, !o.Middle
	l := newLab(t, o)
	x := &pair{l, l.Appliances[0], l.Appliances[1], key(t)}
	check(t, x.configure(p), x.west.WriteKeys(x.key), x.east.WriteKeys(x.key))
	return x
}

// configure writes both ends' configuration.
func (p *pair) configure(port lab.Port) error {
	port.Dataplane = "userspace"
	return errors.Join(p.west.WriteConfig(port), p.east.WriteConfig(port))
}

func (p *pair) both() []*lab.Appliance { return []*lab.Appliance{p.west, p.east} }

// start starts both ends, waits until both are secured and nothing is left to
// plan.
func (p *pair) start(t *testing.T) []status.Port {
	t.Helper()
	check(t, p.west.Start(), p.east.Start())
	ports := p.settled(t)
	nothingToPlan(t, p.both()...)
	return ports
}

// settled waits until both ends are secured and no old SA is left.
func (p *pair) settled(t *testing.T) []status.Port {
	t.Helper()
	ports := wait(t, "both ends to be secured under CKN "+p.key.CKN, func(s status.Port) bool { return lab.Settled(s, p.key.CKN) }, p.both()...)
	for i, s := range ports {
		if s.Dataplane != "userspace" {
			t.Fatalf("%s: dataplane %s: %s", p.both()[i].Name, s.Dataplane, s.DataplaneReason)
		}
	}
	return ports
}

func key(t *testing.T) lab.Key {
	t.Helper()
	k, err := lab.RandomKey(rand.Reader, 16, 32)
	check(t, err)
	return k
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wait is lab.Wait that ends the test.
func wait(t *testing.T, what string, ok func(status.Port) bool, appliances ...*lab.Appliance) []status.Port {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ports, err := lab.Wait(ctx, what, ok, appliances...)
	check(t, err)
	return ports
}

// said is what an appliance says of its port. It is asked again if it does not
// answer: a machine that does other things may keep it for long.
func said(t *testing.T, a *lab.Appliance) status.Port {
	t.Helper()
	return wait(t, a.Name+"'s word", func(status.Port) bool { return true }, a)[0]
}

// whole is said of all that it is.
func whole(t *testing.T, a *lab.Appliance) (s status.Status) {
	t.Helper()
	eventually(t, a.Name+"'s word", func() (ok bool) {
		var err error
		s, err = status.NewClient(a.Socket()).Status(t.Context())
		return err == nil
	})
	return s
}

// steady has no peer expire where it is not what a test is about: a machine that
// does other things may hold up a daemon for seconds.
const steady = "life: 30s"

// eventually polls until ok, for what no appliance tells.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// nothingToPlan plans again what was applied: the daemon's work must be all
// that the configuration asks for.
func nothingToPlan(t *testing.T, appliances ...*lab.Appliance) {
	t.Helper()
	for _, a := range appliances {
		out, errs, st, err := a.Verb(t.Context(), "plan", "--config", a.ConfigFile())
		check(t, err)
		if st != 0 {
			t.Errorf("%s: apply, then plan again: exit status %d\n%s%s", a.Name, st, out, errs)
		}
	}
}

// ip runs ip(8) at an appliance.
func ip(t *testing.T, a *lab.Appliance, args string) string {
	t.Helper()
	out, err := a.NS.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s at %s: %v: %s", args, a.Name, err, out)
	}
	return string(out)
}

// tap is an appliance's interface as the kernel has it.
func tap(t *testing.T, a *lab.Appliance) (attrs netlink.LinkAttrs) {
	t.Helper()
	check(t, a.NS.Do(func() error {
		l, err := netlink.LinkByName(lab.Interface)
		if err == nil {
			attrs = *l.Attrs()
		}
		return err
	}))
	return attrs
}

// sealed watches the wire until the returned function, which demands that
// nothing but MKA and MACsec was there, and MKA was.
func sealed(t *testing.T, p *pair) (stop func()) {
	t.Helper()
	var all []*lab.Wire
	for i := range p.Appliances {
		w, err := p.WatchUnsealed(i)
		check(t, err)
		t.Cleanup(func() { w.Close() })
		all = append(all, w)
	}
	return func() {
		t.Helper()
		for i, w := range all {
			if n := w.Count(); n.Clear > 0 || n.MKA == 0 {
				t.Errorf("on the wire of %s: %d frames MKA, %d in clear, the last %x", p.Appliances[i].Name, n.MKA, n.Clear, w.LastClear())
			}
		}
	}
}
