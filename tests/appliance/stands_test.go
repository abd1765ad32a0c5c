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
