package appliance

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// TestStands: a link that is secured, and not as tight as it is to be, is told.
func TestStands(t *testing.T) {
	then := time.Now()
	for name, c := range map[string]struct {
		change func(*status.Status)
		ok     bool
	}{
		"as it is to be":      {func(*status.Status) {}, true},
		"no guard":            {func(s *status.Status) { s.Ports[0].Enforcement.Guard = false }, false},
		"no filter in":        {func(s *status.Status) { s.Ports[0].Enforcement.Ingress = "none" }, false},
		"no filter out":       {func(s *status.Status) { s.Tunnels[0].Enforcement.Egress = "none" }, false},
		"nothing is known":    {func(s *status.Status) { s.Tunnels[0].Enforcement = nil }, false},
		"should":              {func(s *status.Status) { s.Ports[0].Secure, s.Ports[0].Enforcement = "should", nil }, true},
		"the clock is held":   {func(s *status.Status) { s.ClockHeld = &then }, false},
		"memory is not known": {func(s *status.Status) { s.Memory = nil }, false},
		"memory has problems": {func(s *status.Status) { s.Memory.Problem = "mlock: EPERM" }, false},
	} {
		s := &status.Status{
			Ports:   []status.Port{{Name: "a", Secure: "must", Enforcement: &status.Enforcement{Ingress: "native", Egress: "tcx", Guard: true}}},
			Tunnels: []status.Tunnel{{Name: "b", Secure: "must", Enforcement: &status.Enforcement{Ingress: "native", Egress: "tcx", Guard: true}}},
			Memory:  &status.Memory{Locked: true, Erased: true},
		}
		c.change(s)
		if err := stands(s); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInstalled: an install that wrote nothing puts no power cut to the test, and is
// a fault but where a round before is the reason.
func TestInstalled(t *testing.T) {
	const what, trial = "linkseal: version 2 is what runs; accepted: a newer one\n", "linkseal: version 2 is on trial itself (x): wait\n"
	for said, c := range map[string]struct{ counts, ok bool }{
		"":                                     {true, true}, // it goes on
		what + "slot b: root.erofs, 300 MiB\n": {true, true},
		what + trial + "none is installed\n":   {false, true},
		"linkseal: no space\nnone is installed\n":                  {false, false},
		"sh: linkseal: not found\n" + what + "none is installed\n": {false, false},
	} {
		if counts, err := installed(said); counts != c.counts || (err == nil) != c.ok {
			t.Errorf("%q: %v, %v", said, counts, err)
		}
	}
}
