package reconcile

import (
	"os"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// view is a port as the last pass left it, for Status.
type view struct {
	cfg       config.Port
	session   Session
	choice    plan.Choice
	place     Place
	carrier   bool
	problem   *plan.Problem
	unguarded string
	keysError error
}

// publish makes what is known now visible to Status.
func (r *Reconciler) publish() {
	var all []view
	for _, c := range r.cfg.Ports {
		v := view{cfg: c, choice: r.chosen[c.Name]}
		if p := r.ports[c.Name]; p != nil {
			v = view{cfg: c, choice: v.choice, session: p.session, place: p.place, carrier: p.carrier, problem: p.problem, unguarded: string(p.unguarded)}
		}
		if r.failed != "" {
			v.problem = &plan.Problem{Port: c.Name, Cause: "the machine cannot be observed: " + r.failed, Remedy: "it is tried again"}
		}
		if n := r.rings[c.Keychain]; n != nil {
			v.keysError = n.err
		}
		all = append(all, v)
	}
	tunnels := r.tunnelViews()
	var keychains []keychainView
	for _, c := range r.cfg.Keychains {
		if n := r.rings[c.Name]; n != nil {
			keychains = append(keychains, n.view())
		}
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tunnelView = tunnels
	r.view, r.keychains, r.sealError, r.unsealed, r.clockHeld = all, keychains, r.kept.err, r.kept.unsealed(), nil
	if r.kept.held {
		r.clockHeld = &now
	}
	if r.name = r.cfg.Name; r.name == "" {
		r.name, _ = os.Hostname()
	}
}

// Status is a snapshot. It may be called from any goroutine while Run runs.
func (r *Reconciler) Status() status.Status {
	r.mu.Lock()
	s := status.Status{Name: r.name, Version: r.o.Version, Reload: r.reloadErrors, SealError: r.sealError, Unsealed: r.unsealed, ClockHeld: r.clockHeld}
	all, tunnels, keychains := r.view, r.tunnelView, r.keychains
	r.mu.Unlock()
	for _, k := range keychains {
		s.Keychains = append(s.Keychains, k.report())
	}
	for _, v := range all {
		p := v.report(r.o.Machine)
		if r.o.Drops != nil {
			p.Drops = r.o.Drops.Report(p.Name)
		}
		s.Ports = append(s.Ports, p)
	}
	below := newUnderlays(r.o.Machine)
	for _, v := range tunnels {
		below.handed += v.handed()
	}
	for _, v := range tunnels {
		t := v.report(below)
		if r.o.Drops != nil && v.cfg.Must {
			t.Drops = r.o.Drops.Report(underlayName(t.Device))
		}
		s.Tunnels = append(s.Tunnels, t)
	}
	s.Fill()
	return s
}

func (v view) report(m Machine) status.Port {
	p := status.Port{Name: v.cfg.Name, Device: v.cfg.Device, Interface: v.cfg.Interface, Dataplane: string(v.choice.Dataplane), DataplaneReason: v.choice.Reason,
		Secure: "should", Cipher: string(v.cfg.Cipher), Encrypt: v.cfg.Encrypt, Keychain: v.cfg.Keychain, State: status.Down, Passing: status.PassingNone}
	if v.cfg.Must {
		p.Secure = "must"
	}
	if v.keysError != nil {
		p.KeysError = v.keysError.Error()
	}
	if v.session != nil && v.session.Report(&p) {
		p.SCI = v.place.SCI.String()
		switch {
		case !v.carrier:
			p.State, p.SecuredSince = status.Down, nil
			p.UnsecuredReason, p.Remedy = "device "+v.cfg.Device+" has no carrier", "look at the cable, and at the peer's end"
		case p.State == status.Secured:
			p.Passing = status.PassingProtected
		case !v.cfg.Must:
			p.Passing = status.PassingClear
		}
	}
	if v.problem != nil {
		p.Problem = v.problem.Cause
		if p.State != status.Secured {
			p.UnsecuredReason, p.Remedy = v.problem.Cause, v.problem.Remedy
		}
	}
	if p.State == status.Down && p.UnsecuredReason == "" {
		p.UnsecuredReason = "MKA is starting"
	}
	if counters, err := m.FilterCounters(v.cfg.Device); err == nil {
		p.Filter = counters
	}
	if outer, err := m.OuterCircuits(v.cfg.Device); err == nil {
		p.OuterCircuits = outer
	}
	if v.cfg.Must {
		if p.Enforcement = m.Enforcement(v.cfg.Device); p.Enforcement != nil && !p.Enforcement.Guard && p.Enforcement.GuardError == "" {
			p.Enforcement.GuardError = v.unguarded
		}
	}
	v.tagging(m, &p)
	return p
}
