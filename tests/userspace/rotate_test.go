package userspace

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
	"github.com/linkseal/linkseal/tests/lab"
)

// rotating is a `linkseal rotate` that runs.
type rotating struct {
	events []course.Event
	out    *bufio.Scanner
	wait   func() error
}

// startRotate runs the verb at west.
func startRotate(t *testing.T, a *lab.Appliance) *rotating {
	t.Helper()
	cmd := a.NS.Command(linkseal(t), "rotate", "link1", "--config", a.ConfigFile(), "--json")
	out, in, err := os.Pipe()
	check(t, err)
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	check(t, cmd.Start(), in.Close())
	t.Cleanup(func() { cmd.Process.Kill() })
	return &rotating{out: bufio.NewScanner(out), wait: func() error {
		io.Copy(io.Discard, out)
		return cmd.Wait()
	}}
}

// until reads events up to one of phase.
func (r *rotating) until(t *testing.T, phase course.Phase) course.Event {
	t.Helper()
	for r.out.Scan() {
		var e course.Event
		check(t, json.Unmarshal(r.out.Bytes(), &e))
		r.events = append(r.events, e)
		if e.Phase == phase {
			return e
		}
		if e.Last() {
			break
		}
	}
	t.Fatalf("no event %s: %v", phase, r.phases())
	return course.Event{}
}

func (r *rotating) phases() (all []string) {
	for _, e := range r.events {
		all = append(all, string(e.Phase))
	}
	return all
}

// bring has east's key file as west's is.
func (p *pair) bring(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(p.west.KeysFile())
	check(t, err)
	tmp := p.east.KeysFile() + ".new"
	check(t, os.WriteFile(tmp, text, 0o600), os.Rename(tmp, p.east.KeysFile()))
}

// TestRotateVerb rotates as people do: the verb at west, the new key brought to
// east when it is in west's file, traffic all the while. Then once more, with
// the daemon killed while it waits for the peer, and the verb run again.
func TestRotateVerb(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{MKA: steady})
	p.start(t)
	udp := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	udp.flow(t, 100)
	first := udp.now()

	r := startRotate(t, p.west)
	r.until(t, course.ParticipantUp)
	p.bring(t)
	done := r.until(t, course.Done)
	check(t, r.wait())
	for _, want := range []course.Phase{course.Claimed, course.Written, course.ReadBack, course.InKeychain, course.PeerLive, course.Moved, course.Settled} {
		if !slices.Contains(r.phases(), string(want)) {
			t.Errorf("%s is not in the timeline %q", want, r.phases())
		}
	}
	if n, ok := done.Lost["in_pkts_late"]; !ok || n != 0 || course.Sum(done.Lost) != 0 || !strings.Contains(done.Detail, "after a hold of 24h") {
		t.Errorf("done: %+v", done)
	}
	udp.flow(t, 100)
	udp.end()
	if c := udp.count(first, patience); c.lost > 0 {
		t.Errorf("%v", c)
	}
	wait(t, "both ends to encode under the new CKN alone", func(s status.Port) bool { return lab.Settled(s, done.CKN.String()) }, p.both()...)
	figure(t, "linkseal rotate: both ends under the new CKN in %d ms from the moment that east could have it, the old SAs gone at %d ms; 0 lost of %d",
		r.since(course.ParticipantUp, course.Moved), r.since(course.ParticipantUp, course.Settled), udp.now()-first)

	// Killed while the peer is late: the journal knows, and the verb follows.
	r = startRotate(t, p.west)
	ckn := r.until(t, course.ParticipantUp).CKN
	check(t, p.west.Kill())
	if err := r.wait(); err == nil {
		t.Error("the verb ends well though the daemon was killed")
	}
	check(t, p.west.Start())
	wait(t, "west to be back", func(s status.Port) bool { return s.State == status.Secured }, p.west)
	r = startRotate(t, p.west)
	r.until(t, course.Resumed)
	p.bring(t)
	if done = r.until(t, course.Done); done.CKN != ckn {
		t.Errorf("the rotation ends under CKN %s, and began with %s", done.CKN, ckn)
	}
	check(t, r.wait())
	keys, err := file.Load(p.west.KeysFile())
	check(t, err)
	defer keys.Zero()
	if len(keys.Keys) != 3 {
		t.Errorf("west has %d keys after two rotations, with the first two held", len(keys.Keys))
	}
}

func (r *rotating) since(a, b course.Phase) int64 {
	at := func(p course.Phase) int64 {
		return r.events[slices.IndexFunc(r.events, func(e course.Event) bool { return e.Phase == p })].ElapsedMS
	}
	return at(b) - at(a)
}
