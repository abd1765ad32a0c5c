package rollover

import (
	"testing"
	"time"
)

// A handshake that is seen after the change, and was made before it, says nothing
// of the other end.
func TestSeenLate(t *testing.T) {
	for _, tc := range []struct {
		made time.Duration // when, from the change on
		want Phase
	}{{-50 * time.Millisecond, Turning}, {300 * time.Millisecond, Turning}, {-time.Minute, Turning}} {
		l := New(true, true)
		change := t0.Add(2 * time.Minute)
		l.SetKeys(Keys{Usable: []string{"old"}}, t0)
		l.Step(Facts{Now: t0})
		l.SetKeys(Keys{Usable: []string{"new", "old"}}, change)
		if o := l.Step(Facts{Now: change, Handshake: change.Add(min(tc.made, 0))}); o.Second != Closed || o.Set != "new" {
			t.Errorf("a handshake %v before the change: %+v", -tc.made, o)
		}
		l.Step(Facts{Now: change.Add(time.Second), Handshake: change.Add(tc.made)})
		if phase, _ := l.Phase(); phase != tc.want {
			t.Errorf("a handshake %v after the change: %v, want %v", tc.made, phase, tc.want)
		}
	}
}
