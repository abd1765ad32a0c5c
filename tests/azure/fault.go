package azure

import (
	"slices"
	"strings"
)

// Fault makes calls go wrong.
type Fault struct {
	Op     Op     // the kind of call; AnyOp, AnyVault, AnyAuthority are several
	Secret string // only calls about this secret; "" means all
	From   string // only calls of the caller at this address, as Call.From; "" means all
	Skip   int    // so many calls go well first
	Times  int    // then so many go wrong; 0: all, until cleared
	Effect Effect // what goes wrong
}

// Effect is what a fault does to a call. The functions of this package make them.
type Effect struct {
	Name string // for the journal
	// do answers the call in place of next, which does what was asked; nil ends
	// the connection with no answer.
	do func(x *exchange, next func() *reply) *reply
}

// exchange is the call that an effect is about.
type exchange struct {
	cloud   *Cloud
	request *request
}

// fault is one that is injected.
type fault struct {
	Fault
	seen int
}

// Inject makes a fault begin and returns what ends it. Of several that a call
// meets the newest is the outermost: it may hide the others.
func (c *Cloud) Inject(f Fault) (end func()) {
	if f.Effect.do == nil {
		panic("azure: a fault without an effect")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	injected := &fault{Fault: f}
	c.faults = append(c.faults, injected)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.faults = slices.DeleteFunc(c.faults, func(o *fault) bool { return o == injected })
	}
}

// ClearFaults ends all faults. A call that hangs goes on hanging.
func (c *Cloud) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// meets reports whether the fault is about the call, and counts.
func (f *fault) meets(call *Call) bool {
	if !f.Op.covers(call.Op) || f.Secret != "" && !strings.EqualFold(f.Secret, call.Secret) || f.From != "" && f.From != call.From {
		return false
	}
	f.seen++
	return f.seen > f.Skip && (f.Times == 0 || f.seen <= f.Skip+f.Times)
}
