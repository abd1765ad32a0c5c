package rollover

import (
	"testing"
	"time"
)

// The second device tells both ends that both have the new PSK. Whoever had it for long
// by then leaves the first try to the leader all the same, which turns only now: two
// handshakes that cross void each other.
func TestProofIsTheLeadersTurn(t *testing.T) {
	asks := func(leader bool, apart time.Duration) (asked time.Duration) {
		l := New(true, leader)
		l.Adopt("old")
		f := Facts{Now: t0, Handshake: t0.Add(-time.Second)}
		l.SetKeys(Keys{Usable: []string{"old"}}, f.Now)
		l.Step(f)
		changed := t0.Add(100 * time.Second)
		if leader {
			changed = t0.Add(10 * time.Second)
		}
		proof := t0.Add(100*time.Second + apart)
		for f.Now.Before(proof.Add(20 * time.Second)) {
			f.Now = f.Now.Add(look)
			switch {
			case f.Now.Equal(changed):
				l.SetKeys(Keys{Usable: []string{"new", "old"}}, f.Now)
			case leader && f.Now.Equal(changed.Add(GiveUp+time.Second)):
				f.Handshake = f.Now // under the old PSK: it holds
			case !leader && f.Now.Equal(changed.Add(-look)):
				f.Handshake = f.Now // of the leader's making, under the old PSK
			case f.Now.Equal(proof):
				f.Second = f.Now
			}
			if o := l.Step(f); o.Handshake && !f.Now.Before(proof) && asked == 0 {
				asked = f.Now.Sub(proof)
			}
		}
		return asked
	}
	for apart := 8 * time.Second; apart < 40*time.Second; apart += look {
		first, second := asks(true, apart), asks(false, apart)
		if first == 0 || first > 2*time.Second || second < first+5*time.Second {
			t.Errorf("proved %v after the second end's change: the leader tries %v after that, the other end %v", apart, first, second)
		}
	}
}
