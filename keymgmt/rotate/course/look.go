package course

import (
	"fmt"
	"slices"
	"time"
)

// look takes what is seen of the keychain and the ports.
func (c *Course) look(t *teller, v View) {
	c.view = v
	// A daemon that has just begun has no ports yet.
	c.looked = len(v.Ports) > 0 || t.now.Sub(c.Started) >= patience
	if !c.Settled() {
		c.count(v.Ports)
		c.watch(t)
	}
	if c.Reached.before(ReadBack) || c.Retiring || c.Ended() {
		return
	}
	own := v.find(c.Order.ID)
	if own == nil {
		c.without(t)
		return
	}
	if c.hadKey = true; c.CKN == "" && !c.Order.PSK {
		c.CKN = own.CKN // the store did not tell it
	}
	if c.Reached == ReadBack {
		c.reach(t.now, InKeychain)
		t.tell(Event{Phase: InKeychain})
	}
	all, ready, missing := c.follow(t, own)
	if c.Reached.before(all) {
		c.reach(t.now, all)
	}
	c.hold(t, ready, c.view.back(own), missing)
}

// without is a look that does not find the pair in our own keychain.
func (c *Course) without(t *teller) {
	if c.hadKey {
		// Somebody has taken it out, or the source hiccups: the store knows.
		c.hadKey, c.askAt = false, t.now
		return
	}
	if len(c.view.Keys) > 0 { // else the daemon has just begun
		c.Since = time.Time{}
	}
	if t.now.Sub(c.phaseAt) < patience {
		return
	}
	detail := "our own source has not told of the " + c.key() + " yet"
	if c.view.Fault != "" {
		detail += ": " + c.view.Fault
	}
	t.once("without", Event{Phase: Waiting, Detail: detail})
}

// follow tells how far the ports have come towards the key own. all is where
// the last of those that carry traffic is; ready that each port has settled,
// at some time, and those that carry traffic now; missing a port that has not.
func (c *Course) follow(t *teller, own *Key) (all Phase, ready bool, missing string) {
	all, ready = Settled, true
	busy := 0
	c.carried()
	for i := range c.view.Ports {
		p := &c.view.Ports[i]
		at, idle := p.reached(&c.view, own), p.idle()
		c.port(t, p, at, idle)
		settled := at == Settled || idle && slices.Contains(c.Ports, p.Name)
		if !settled {
			ready, missing = false, p.Name
		}
		if idle {
			continue
		}
		busy++
		if at.before(all) {
			all = at
		}
		if at == Settled && !slices.Contains(c.Ports, p.Name) {
			c.Ports = append(c.Ports, p.Name)
			c.dirty = true
		}
	}
	if busy == 0 {
		// Without traffic nothing moves, but what has moved stays so.
		all = InKeychain
		ready = ready && len(c.view.Ports) > 0
	}
	return all, ready, missing
}

// carried notes which older pairs carry traffic: they are to be retired.
func (c *Course) carried() {
	own := c.view.find(c.Order.ID)
	for i := range c.view.Ports {
		k := c.view.byCKN(c.view.Ports[i].Encoding)
		if k == nil || k.Fallback || own != nil && c.view.supersedes(own, k.CKN) || slices.Contains(c.Old, k.ID) {
			continue
		}
		c.Old = append(c.Old, k.ID)
		c.dirty = true
	}
}

// port tells of one port's way, and what it waits for.
func (c *Course) port(t *teller, p *Port, at Phase, idle bool) {
	s := c.ports[p.Name]
	if s == nil {
		s = &seen{reached: InKeychain, since: t.now}
		c.ports[p.Name] = s
	}
	if !idle && s.reached.before(at) {
		for _, ph := range order[slices.Index(order, s.reached)+1 : slices.Index(order, at)+1] {
			if !c.Settled() && !(c.Order.PSK && ph == ParticipantUp) {
				t.tell(Event{Phase: ph, Port: p.Name})
			}
		}
		s.reached, s.since = at, t.now
	}
	from := s.since
	if c.Order.NotBefore.After(from) { // nothing is to be expected before
		from = c.Order.NotBefore
	}
	if c.Settled() || at == Settled || t.now.Sub(from) < patience {
		return
	}
	detail := c.waits(at)
	if idle {
		detail = c.wants()
	}
	t.once(fmt.Sprintf("waits %s %s %v", p.Name, at, idle), Event{Phase: Waiting, Port: p.Name, Detail: detail})
}

// hold counts the time since all have settled, and ends the hold when they are
// ready. It begins anew where a port is back on an older CKN; a link that was
// down, or a restart, does not count.
func (c *Course) hold(t *teller, ready, back bool, missing string) {
	settled := c.Reached == Settled
	switch {
	case !settled:
		return
	case !ready:
		if back && !c.Since.IsZero() {
			c.Since, c.dirty = time.Time{}, true
		}
		if c.Settled() && missing != "" && t.now.Sub(c.Times[Settled]) >= c.Hold {
			t.once("kept "+missing, Event{Phase: Waiting, Port: missing, Detail: fmt.Sprintf("the old %ss are kept: the %s is not on the new %s", c.key(), c.place(), c.name())})
		}
	case c.Since.IsZero():
		c.Since, c.dirty = t.now, true
	}
	if c.Outcome == "" && (c.Hold > 0 || !ready) {
		c.end(t, Done, "")
		return
	}
	if !ready || t.now.Before(c.RetireAt()) {
		return
	}
	if why := c.view.Unsealed; why != "" {
		if t.now.Sub(c.RetireAt()) < patience {
			return // they may be on their way
		}
		t.once("unsealed", Event{Phase: Waiting, Detail: "the old " + c.key() + "s are kept: the keys cannot be sealed: " + why})
		if c.Outcome == "" { // the traffic has moved; nobody need wait for the rest
			c.end(t, Done, "")
		}
		return
	}
	c.sweepNow = true
}

// watch tells when ports lose or regain what secures them.
func (c *Course) watch(t *teller) {
	for i := range c.view.Ports {
		p := &c.view.Ports[i]
		s := c.ports[p.Name]
		if s == nil {
			s = &seen{reached: InKeychain, since: t.now}
			c.ports[p.Name] = s
		}
		if s.known && s.secured != p.Secured && c.flaps < maxTold {
			c.flaps++
			phase := Unsecured
			if p.Secured {
				phase = Secured
			}
			t.tell(Event{Phase: phase, Port: p.Name})
		}
		s.known, s.secured = true, p.Secured
	}
}
