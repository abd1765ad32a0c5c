package clerk

import (
	"errors"
	"time"

	"github.com/linkseal/linkseal/bpf"
)

// Why frames may have passed that nobody counted.
const (
	filterMissing = "the filter was found missing"
	guardMissing  = "the guard was found missing"
)

// Enforced tells, after each look at the port, that its filter and its guard
// stand, or why frames may pass that nobody counts. Accounts end with what was
// found, and say so: they cannot have it that nothing was in clear.
func (c *Clerk) Enforced(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.split() && c.told && (c.why == "") != (why == "") {
		c.cut(why+c.why, now) // one of them
	}
	if why == "" || c.closed.IsZero() {
		c.closed = now
	}
	if c.why != why && why != "" {
		c.o.Log.Warn("accounts cannot tell that nothing is in clear", "since", c.closed, "why", why)
	}
	c.told, c.why = true, why
}

// split cuts the accounts if something was found missing since the last time.
func (c *Clerk) split() bool {
	if c.sas == nil {
		return false
	}
	o, err := c.sas.Opened()
	switch {
	case err != nil:
		c.report(counting, err)
	case o.Filter:
		c.cut(filterMissing, time.Now())
	case o.Guard:
		c.cut(guardMissing, time.Now())
	}
	return o != (bpf.Opened{})
}

// cut ends the accounts of the keys that are there, which may not have counted all
// since the port was known to be closed, and begins others. The lock is held.
func (c *Clerk) cut(why string, now time.Time) {
	if c.sas == nil {
		return
	}
	was := c.why
	c.why = "" // of what begins: Enforced tells
	if len(c.sas.Current()) > 0 {
		c.tally(nil)
		c.ledger.Open(c.closed, why, true)
		c.unsaved = true
		c.o.Log.Warn("the port was open; the accounts of its keys end and begin anew", "since", c.closed, "why", why)
	}
	c.report(counting, c.sas.Split(now))
	c.tally(nil)
	c.why = was
	c.wake()
}

// end ends the accounts of a filter that has gone. The lock is held.
func (c *Clerk) end(old *bpf.SAs, now time.Time) error {
	c.tally(nil)
	c.ledger.Open(c.closed, filterMissing, true)
	var errs []error
	for _, a := range old.Current() {
		errs = append(errs, old.End(a, now))
	}
	c.tally(nil)
	return errors.Join(append(errs, old.Close())...)
}

// wake has what ended written.
func (c *Clerk) wake() {
	select {
	case c.work <- struct{}{}:
	default:
	}
}
