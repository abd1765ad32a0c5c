package reconcile

import "time"

const (
	// hung is how long a KaY may be at one thing: peers let go of it after 6 s of silence.
	hung = 10 * time.Second
	// heartbeats are how often more than the service manager asks for it is told that all
	// lives: one that is left out, or late, is not the end.
	heartbeats = 4
)

// ticker ticks when the service manager is to hear; a nil channel if it does not want to.
func (r *Reconciler) ticker() (<-chan time.Time, func()) {
	if r.o.Alive <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(max(r.o.Alive/heartbeats, time.Millisecond))
	return t.C, t.Stop
}

// tellAlive tells the service manager that the daemon lives: all of it. That the
// reconciler does is shown by its being called, as its loop calls it; a tunnel that
// hangs holds up that loop, which looks at it. While a KaY hangs nothing is told, and
// the service manager ends the daemon and starts it anew, which is a restart as any.
func (r *Reconciler) tellAlive() {
	for name, p := range r.ports {
		if p.session == nil || p.session.Idle() < hung {
			continue
		}
		if r.hangs != name {
			r.hangs = name
			r.log.Error("MKA hangs; if it goes on so the service manager starts linkseal anew", "port", name, "for", p.session.Idle().Round(time.Second))
		}
		return
	}
	if r.hangs != "" {
		r.log.Info("MKA goes on", "port", r.hangs)
		r.hangs = ""
	}
	r.notify(watchdog)
}
