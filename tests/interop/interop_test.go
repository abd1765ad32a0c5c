package interop

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/built"
	"github.com/linkseal/linkseal/tests/lab"
)

// patience bounds every wait for a state: the guest is emulated, and may share
// its processors.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	// Links that only wait for each other's timers may do it side by side.
	if f := flag.Lookup("test.parallel"); f != nil {
		f.Value.Set("6")
	}
	status := m.Run()
	if path, err := found(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(status)
}

// soak tells whether figures are measured in full.
func soak() bool { return os.Getenv("LINKSEAL_SOAK") == "1" }

// times is how often or how long something is done: in full, or shortened.
func times[T any](full, short T) T {
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

// found is the linkseal under test, in the memory of the guest: over its root
// file system each page of a program that is new costs a round trip to the
// host, which would be measured too.
var found = sync.OnceValues(func() (string, error) {
	path, err := built.Linkseal()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "linkseal-bin-")
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, "linkseal")
	return copied, os.WriteFile(copied, text, 0o755)
})

// newLab builds one for the test, and shows the daemons' logs if it fails.
func newLab(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.Bridge, probe.AFPacket, probe.BPF)
	var err error
	o.Binary, err = found()
	check(t, err)
	l, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
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

// pair is two linksealds on a cable, or on a bridge with others.
type pair struct {
	*lab.Lab
	west, east *lab.Appliance
	key        lab.Key
}

// newPair writes both ends' files and starts nothing.
func newPair(t *testing.T, o lab.Options, p lab.Port) *pair {
	t.Helper()
	return newEnds(t, o, p, p)
}

// newEnds is newPair with ends that differ.
func newEnds(t *testing.T, o lab.Options, west, east lab.Port) *pair {
	t.Helper()
	need(t, west)
	need(t, east)
	o.Names = append([]string{"west", "east"}, o.Names...)
	l := newLab(t, o)
	x := &pair{l, l.Appliances[0], l.Appliances[1], key(t, 16, 32)}
	check(t, x.west.WriteConfig(west), x.east.WriteConfig(east), x.west.WriteKeys(x.key), x.east.WriteKeys(x.key))
	return x
}

// need names what the port's SecY needs; auto is to be the kernel's.
func need(t *testing.T, p lab.Port) {
	t.Helper()
	if p.Dataplane == userspace {
		probetest.Need(t, probe.Tap, probe.XDPNative, probe.AFXDP)
		return
	}
	probetest.Need(t, probe.MACsec, probe.MACsecGCM)
	if strings.Contains(p.Cipher, "xpn") {
		probetest.Need(t, probe.MACsecXPN)
	}
}

// The SecYs of a lab.Port.
const userspace, kernel = "userspace", "kernel"

func (p *pair) both() []*lab.Appliance { return []*lab.Appliance{p.west, p.east} }

// start starts both ends, waits until both are secured and nothing is left to
// plan.
func (p *pair) start(t *testing.T) []status.Port {
	t.Helper()
	check(t, p.west.Start(), p.east.Start())
	ports := p.settled(t, p.key.CKN)
	nothingToPlan(t, p.both()...)
	return ports
}

func (p *pair) settled(t *testing.T, ckn string) []status.Port {
	t.Helper()
	return wait(t, "both ends to be secured under CKN "+ckn, func(s status.Port) bool { return lab.Settled(s, ckn) }, p.both()...)
}

func key(t *testing.T, cknOctets, cakOctets int) lab.Key {
	t.Helper()
	k, err := lab.RandomKey(rand.Reader, cknOctets, cakOctets)
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

// eventually polls until ok, for what no appliance tells.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
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

func secured(p status.Port) bool { return p.State == status.Secured }

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

// traffic starts a stream of numbered datagrams.
func traffic(t *testing.T, from, to *lab.Appliance, every time.Duration) *lab.Traffic {
	t.Helper()
	x, err := lab.StartTraffic(from, to, every)
	check(t, err)
	t.Cleanup(func() { x.Stop() })
	return x
}

// flows waits until that many more datagrams have gone both ways.
func flows(t *testing.T, x *lab.Traffic, more uint64) {
	t.Helper()
	want := x.Count().Answered + more
	eventually(t, fmt.Sprintf("%d answers", more), func() bool { return x.Count().Answered >= want })
}

// carries sends traffic from one end to the other and back and demands that
// none is lost.
func carries(t *testing.T, from, to *lab.Appliance) {
	t.Helper()
	x := traffic(t, from, to, 5*time.Millisecond)
	flows(t, x, 40)
	if c := x.Stop(); c.Lost() > 0 {
		t.Errorf("%s to %s: %v", from.Name, to.Name, c)
	}
}

// wires watches the ends' ports until the returned function, which demands
// MACsec frames and no clear ones. It does not hear what AF_XDP moves.
func wires(t *testing.T, ends ...*lab.Appliance) (sealed func()) {
	t.Helper()
	var all []func()
	for _, a := range ends {
		w, err := lab.WatchWire(a)
		check(t, err)
		all = append(all, watched(t, "at "+a.Name, w))
	}
	return func() {
		t.Helper()
		for _, sealed := range all {
			sealed()
		}
	}
}

// watched is wires for a Wire.
func watched(t *testing.T, where string, w *lab.Wire) (sealed func()) {
	t.Cleanup(func() { w.Close() })
	return func() {
		t.Helper()
		if n := w.Count(); n.Clear > 0 || n.MACsec == 0 || n.MKA == 0 {
			t.Errorf("on the wire %s: %d frames MACsec, %d MKA, %d in clear, the last %x", where, n.MACsec, n.MKA, n.Clear, w.LastClear())
		}
	}
}

// device describes an appliance's MACsec device, its addresses and routes: what
// no change of keys may touch. It waits until the kernel has found that nobody
// has the addresses.
func device(t *testing.T, a *lab.Appliance) (text string) {
	t.Helper()
	eventually(t, "the addresses to be valid", func() bool {
		text = describe(t, a)
		return !strings.Contains(text, "tentative")
	})
	return text
}

func describe(t *testing.T, a *lab.Appliance) string {
	t.Helper()
	var b strings.Builder
	for _, args := range []string{"-o link show " + lab.Interface, "-o address show " + lab.Interface, "route show table all dev " + lab.Interface} {
		out, err := a.NS.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s at %s: %v: %s", args, a.Name, err, out)
		}
		b.Write(out)
	}
	return b.String()
}
