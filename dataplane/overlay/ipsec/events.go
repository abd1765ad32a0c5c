package ipsec

import (
	"context"
	"time"

	"github.com/strongswan/govici/vici"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/diagnose"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
)

// serve looks at what is established and hands on what happens until charon or
// ctx ends. It tells whether charon hangs.
func (c *Charon) serve(ctx context.Context, p *process) (hung bool) {
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	answers := make(chan answer, 1)
	asking, again, failed := false, false, 0
	ask := func() {
		if asking {
			again = true
			return
		}
		asking = true
		go func() {
			asked := time.Now()
			sas, err := p.SAs()
			answers <- answer{asked, sas, err}
		}()
	}
	defer func() {
		if asking {
			p.Client.Close() // an answer that is waited for comes to an end
			<-answers
		}
	}()
	var watch diagnose.Watch
	ask()
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-p.Events():
			if !ok {
				return false
			}
			if c.happened(&watch, e) {
				ask()
			}
		case <-looks.C:
			ask()
		case <-c.look:
			ask()
		case a := <-answers:
			asking = false
			if a.err != nil {
				c.log.Warn("charon does not say what is established", "error", a.err)
				if failed++; failed >= looksFailed {
					return true
				}
			} else {
				failed = 0
				c.mute.Store(false)
				c.tell(a)
				if c.owes() {
					go c.settleAll(p.Client)
				}
			}
			if again {
				again = false
				ask()
			}
		}
	}
}

type answer struct {
	asked time.Time
	sas   []strongswan.IKESA
	err   error
}

// tell gives each Session what is established of it.
func (c *Charon) tell(a answer) {
	of := map[string][]strongswan.IKESA{}
	for _, sa := range a.sas {
		if tunnel, _, ok := conn.Tunnel(sa.Connection); ok {
			of[tunnel] = append(of[tunnel], sa)
		}
	}
	c.each(func(s *Session) { s.post(func() { s.established(a.asked, of[s.name]) }) })
}

// happened hands an event on and tells whether what is established may have
// changed.
func (c *Charon) happened(w *diagnose.Watch, e vici.Event) bool {
	switch e.Name {
	case "log":
		c.logged(w, strongswan.LogLine(e.Message))
		return false
	case "ike-rekey":
		name, old, now := strongswan.Rekeyed(e.Message)
		w.Forget(old)
		c.of(name, func(s *Session) { s.post(func() { s.renumbered(old, now) }) })
	case "child-rekey":
		if name, _, _ := strongswan.Rekeyed(e.Message); name != "" {
			c.of(name, func(s *Session) { s.post(func() { s.rekeyed(name) }) })
		}
	}
	return true
}

// logged hands a line of charon's log to our log, and what it means to the
// Session that it is about.
func (c *Charon) logged(w *diagnose.Watch, l diagnose.Line) {
	c.log.Debug("charon: "+l.Text, "group", l.Group, "connection", l.Name)
	f, ok := w.Feed(l)
	if !ok {
		return
	}
	if f.Connection != "" {
		c.of(f.Connection, func(s *Session) { s.post(func() { s.found(f) }) })
		return
	}
	// A peer that is not recognised is known by its address alone.
	c.each(func(s *Session) {
		if s.remote == f.Remote {
			s.post(func() { s.found(f) })
		}
	})
}

// of calls f for the Session of a connection.
func (c *Charon) of(connection string, f func(*Session)) {
	tunnel, _, ok := conn.Tunnel(connection)
	if !ok {
		return
	}
	c.mu.Lock()
	s := c.sessions[tunnel]
	c.mu.Unlock()
	if s != nil {
		f(s)
	}
}
