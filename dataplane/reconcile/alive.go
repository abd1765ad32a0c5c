package reconcile

import (
	"time"

	"github.com/linkseal/linkseal/linux/sdnotify"
)

const (
	// hung is how long a KaY may be at one thing: peers let go of it after 6 s of silence.
	hung = 10 * time.Second
	// heartbeats are how often more than the service manager asks for it is told that all
	// lives: one that is left out, or late, is not the end.
	heartbeats = 4
	// One step of the first look may take as long as the service manager then waits
	// for the next, and is told so this often at the most.
	startPatience = time.Minute
	startTold     = time.Second
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
	r.told = time.Now()
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

// goesOn is called after each step of a look, each port and each tunnel: a look at many
// takes longer than the service manager waits. One that hangs calls it no more.
func (r *Reconciler) goesOn() {
	since := time.Since(r.told)
	switch {
	case !r.isReady:
		if since >= startTold {
			r.told = time.Now()
			r.notify(sdnotify.Extend(startPatience))
		}
	case r.o.Alive > 0 && since > r.o.Alive/heartbeats: // or else the ticker tells it
		r.tellAlive()
	}
}
