package azure

import (
	"slices"
	"time"
)

// Call is a call that the cloud was asked, without values and credentials.
type Call struct {
	Time            time.Time
	Op              Op
	Secret, Version string // as asked for
	Client          string // client id of the identity, once it is known
	From            string // address of the caller, as the listener's connection has it, without a port
	// Status is what was answered; 0: nothing, or nothing yet.
	Status int
	// Faults are the names of the effects that it met.
	Faults []string
}

// Calls are those so far or since ResetCalls, oldest first, open ones too.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := make([]Call, len(c.calls))
	for i, x := range c.calls {
		calls[i] = *x
		calls[i].Faults = slices.Clone(x.Faults)
	}
	return calls
}

// Count is how many calls of a kind there were; AnyOp, AnyVault and AnyAuthority
// count several kinds.
func (c *Cloud) Count(op Op) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, x := range c.calls {
		if op.covers(x.Op) {
			n++
		}
	}
	return n
}

// ResetCalls forgets the calls so far.
func (c *Cloud) ResetCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

// begin notes a call and finds the faults it meets, the oldest first.
func (c *Cloud) begin(call *Call) []*fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.Time = c.now()
	c.calls = append(c.calls, call)
	var met []*fault
	for _, f := range c.faults {
		if f.meets(call) {
			met = append(met, f)
			call.Faults = append(call.Faults, f.Effect.Name)
		}
	}
	return met
}

func (c *Cloud) end(call *Call, p *reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p != nil {
		call.Status = p.status
	}
}

// identify notes who calls.
func (c *Cloud) identify(call *Call, clientID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.Client = clientID
}
