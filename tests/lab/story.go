package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/probe"
)

const (
	// pingEvery is the interval of the lab's traffic.
	pingEvery = 5 * time.Millisecond
	// patience bounds every step of the story: it also runs in emulated
	// guests.
	patience = 60 * time.Second
)

// story is one run of the lab verb.
type story struct {
	out   io.Writer
	fail  context.CancelCauseFunc // ends the story when it cannot be told
	start time.Time
	lab   *Lab
	west  *Appliance
	east  *Appliance
}

// Run plays the lab: two appliances, the link secured, a key rotation under
// traffic, and what was lost, told to out. It fails if anything was lost, or
// left in clear. dataplane is auto, kernel or userspace. With vault the keys
// are in a local Azure Key Vault, and the story goes on to its outage, and to a
// reboot meanwhile.
func Run(ctx context.Context, out io.Writer, binary string, suite sa.Suite, dataplane string, vault bool) error {
	userspace, err := choose(suite, dataplane)
	if err != nil {
		return err
	}
	// What a SecY in user space sends its own machine cannot watch.
	return tell(ctx, out, Options{Binary: binary, Bridge: userspace}, func(ctx context.Context, s *story) error {
		port := Port{Cipher: suite.String(), Dataplane: dataplane}
		if vault {
			return s.playVault(ctx, port, userspace)
		}
		return s.play(ctx, port, userspace)
	})
}

// tell has play told to out, of west and east, and clears up.
func tell(ctx context.Context, out io.Writer, o Options, play func(context.Context, *story) error) (err error) {
	o.Names = []string{"west", "east"}
	l, err := New(o)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s := &story{out: out, fail: fail, start: time.Now(), lab: l, west: l.Appliances[0], east: l.Appliances[1]}
	defer func() {
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "\nwest's log:\n%s\neast's log:\n%s\n", s.west.Log(), s.east.Log())
		}
		if e := l.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("clearing up: %w", e))
			return
		}
		if err == nil {
			// The last lines may have been written to nobody too.
			defer func() { err = context.Cause(ctx) }()
		}
		s.say("the daemons have stopped; namespaces, devices and files are removed")
	}()
	return play(ctx, s)
}

// choose tells whether the SecYs will be in user space, as the daemons will
// choose it, or what this machine lacks.
func choose(suite sa.Suite, dataplane string) (userspace bool, err error) {
	kernel := []probe.Feature{probe.MACsec}
	if suite.XPN() {
		kernel = append(kernel, probe.MACsecXPN)
	}
	inKernel := lacks(kernel...)
	if dataplane == string(plan.Kernel) || dataplane == string(plan.Auto) && inKernel == nil {
		return false, inKernel
	}
	return true, lacks(probe.Tap)
}

// lacks is an error if this machine lacks one of them.
func lacks(features ...probe.Feature) error {
	for _, f := range features {
		if r := f.Check(); !r.OK {
			return fmt.Errorf("this machine cannot run the lab: %s: %s; %s", f, r.Detail, r.Remedy)
		}
	}
	return nil
}

// inWords are the dataplanes as the story names them.
var inWords = map[string]string{string(plan.Kernel): "the kernel's", string(plan.Userspace): "linkseal's own, in user space"}

func (s *story) say(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, "%7.2f s  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...)); err != nil {
		s.fail(fmt.Errorf("the story cannot be told: %w", err))
	}
}

func (s *story) play(ctx context.Context, port Port, userspace bool) error {
	first, err := RandomKey(rand.Reader, 16, 32)
	if err != nil {
		return err
	}
	second, err := RandomKey(rand.Reader, 16, 32)
	if err != nil {
		return err
	}
	for _, a := range []*Appliance{s.west, s.east} {
		if err := errors.Join(a.WriteConfig(port), a.WriteKeys(first)); err != nil {
			return err
		}
	}
	wire, between, err := s.watch(userspace)
	if err != nil {
		return err
	}
	defer wire.Close()
	s.say("west and east start, %s, %s between them; CKN %.8s…", port.Cipher, between, first.CKN)
	if err := errors.Join(s.west.Start(), s.east.Start()); err != nil {
		return err
	}
	ports, err := s.wait(ctx, "the link to be secured", func(p status.Port) bool { return p.State == status.Secured && p.Tx != nil })
	if err != nil {
		return err
	}
	s.say("the SecYs are %s: %s", inWords[ports[0].Dataplane], ports[0].DataplaneReason)
	s.say("secured: SAK on AN %d, key server %s", ports[0].Tx.AN, s.server(ports))
	before, err := s.device()
	if err != nil {
		return err
	}
	traffic, err := StartTraffic(s.west, s.east, pingEvery)
	if err != nil {
		return err
	}
	count, err := s.rotate(ctx, traffic, first, second)
	if err != nil {
		traffic.Stop()
		return err
	}
	after, err := s.device()
	if err != nil {
		return err
	}
	s.say("datagrams sent every %v through all of it: %d, answered %d, lost %d", pingEvery, count.Sent, count.Answered, count.Lost())
	if before != after {
		return fmt.Errorf("the rotation changed %s at west: it was %s, and is %s", Interface, before, after)
	}
	s.say("%s is the device that it was: %s", Interface, after)
	if err := s.clear(ctx); err != nil {
		return err
	}
	if err := s.sealed(wire); err != nil {
		return err
	}
	if count.Lost() > 0 {
		return fmt.Errorf("%d of %d datagrams were lost", count.Lost(), count.Sent)
	}
	return nil
}

// sealed tells what was on the wire, and fails if any of it was in clear.
func (s *story) sealed(w *Wire) error {
	n := w.Count()
	s.say("on the wire at west: %d frames MACsec, %d MKA, %d in clear", n.MACsec, n.MKA, n.Clear)
	if n.Clear > 0 {
		return fmt.Errorf("%d frames passed in clear; the last began %x", n.Clear, w.LastClear())
	}
	return nil
}

// watch counts the frames at west from now on. between is what joins the two.
func (s *story) watch(userspace bool) (w *Wire, between string, err error) {
	if userspace {
		w, err = s.lab.WatchBridge(0)
		return w, "a bridge", err
	}
	w, err = WatchWire(s.west)
	return w, "a cable", err
}

// rotate puts a second key beside the first at both ends, one after the
// other, waits until it carries the traffic, and takes the first away.
func (s *story) rotate(ctx context.Context, t *Traffic, first, second Key) (Count, error) {
	if _, err := s.flows(ctx, t, 100); err != nil {
		return Count{}, err
	}
	s.say("rotation: CKN %.8s… goes into west's keychain, then into east's", second.CKN)
	if err := s.west.WriteKeys(first, second); err != nil {
		return Count{}, err
	}
	if _, err := Wait(ctx, "west to take the key", func(p status.Port) bool { return len(p.Participants) == 2 }, s.west); err != nil {
		return Count{}, err
	}
	if err := s.east.WriteKeys(first, second); err != nil {
		return Count{}, err
	}
	if _, err := s.wait(ctx, "the traffic to move", func(p status.Port) bool { return CKN(p) == second.CKN }); err != nil {
		return Count{}, err
	}
	s.say("both ends encode under CKN %.8s…", second.CKN)
	if err := errors.Join(s.west.WriteKeys(second), s.east.WriteKeys(second)); err != nil {
		return Count{}, err
	}
	if _, err := s.wait(ctx, "the old key to be gone", func(p status.Port) bool {
		return Settled(p, second.CKN) && len(p.Participants) == 1
	}); err != nil {
		return Count{}, err
	}
	s.say("the old SAs are gone, and the old key is out of both keychains")
	c, err := s.flows(ctx, t, 100)
	if err != nil {
		return c, err
	}
	return t.Stop(), nil
}

// flows waits until that many more datagrams have been answered.
func (s *story) flows(ctx context.Context, t *Traffic, more uint64) (Count, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want := t.Count().Answered + more
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if c := t.Count(); c.Answered >= want {
			return c, nil
		}
		if err := errors.Join(s.west.ended(), s.east.ended()); err != nil {
			return t.Count(), err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c := t.Count()
			return c, fmt.Errorf("waiting for traffic: %w; %d of %d datagrams were answered", context.Cause(ctx), c.Answered, c.Sent)
		}
	}
}

func (s *story) wait(ctx context.Context, what string, ok func(status.Port) bool) ([]status.Port, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return Wait(ctx, what, ok, s.west, s.east)
}

func (s *story) server(ports []status.Port) string {
	for i, a := range []*Appliance{s.west, s.east} {
		for _, m := range ports[i].Participants {
			if m.Principal && m.KeyServer {
				return a.Name
			}
		}
	}
	return "unknown"
}

// device describes west's MACsec device: what a rotation may not change.
func (s *story) device() (d string, err error) {
	err = s.west.NS.Do(func() error {
		ifi, err := net.InterfaceByName(Interface)
		if err != nil {
			return err
		}
		addrs, err := ifi.Addrs()
		d = fmt.Sprintf("ifindex %d, MTU %d, %v", ifi.Index, ifi.MTU, addrs)
		return err
	})
	return d, err
}

// clear tries to send in clear at both ports, and shows what became of it.
func (s *story) clear(ctx context.Context) error {
	const frames = 10
	for _, a := range []*Appliance{s.west, s.east} {
		if err := SendClear(a, frames); err != nil {
			return err
		}
	}
	ports, err := s.wait(ctx, "the filter's counters", func(p status.Port) bool { return p.Filter["egress_dropped_packets"] >= frames })
	if err != nil {
		return err
	}
	s.say("%d frames sent in clear at each port: dropped %d and %d", frames, ports[0].Filter["egress_dropped_packets"], ports[1].Filter["egress_dropped_packets"])
	return nil
}
