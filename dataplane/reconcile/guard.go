package reconcile

import (
	"errors"
	"maps"
	"slices"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// guard guards the ports that are must-secure, before their devices are set up, or
// unguards the others, whose filters have opened.
func (r *Reconciler) guard(o plan.Observed, must bool) {
	for _, name := range slices.Sorted(maps.Keys(r.ports)) {
		if p := r.ports[name]; p.cfg.Must == must {
			p.guard(r, o)
		}
	}
}

// guard has a must-secure port guarded, and no other. That it cannot be is told, and no
// reason not to run: the filter stands without.
func (p *port) guard(r *Reconciler, o plan.Observed) {
	text := ""
	if _, there := o.Links[p.cfg.Device]; there {
		if err := r.o.Machine.Guard(p.cfg.Device, p.cfg.Must); err != nil && p.cfg.Must {
			text = err.Error()
		}
	}
	if text == p.unguarded {
		return
	}
	if p.unguarded = text; text != "" {
		r.log.Warn("the port is not guarded: frames sent with PACKET_QDISC_BYPASS or by AF_XDP pass its filter by", "port", p.cfg.Name, "error", text)
		return
	}
	r.log.Info("the port is guarded", "port", p.cfg.Name)
}

// enforced tells the sessions what stands at their ports.
func (r *Reconciler) enforced(d plan.Desired, o plan.Observed) {
	for _, want := range d.Ports {
		p := r.ports[want.Name]
		if p == nil || p.session == nil {
			continue
		}
		have, there := o.Filters[want.Device]
		switch {
		case !want.Must:
			p.session.Enforced("a port with secure: should has no guard")
		case !there || !have.Equal(want.Filter):
			p.session.Enforced("the filter does not stand")
		case p.unguarded != "":
			p.session.Enforced("there is no guard: " + p.unguarded)
		default:
			p.session.Enforced("")
		}
	}
}

// guarded is what became of the guard of a device.
type guarded struct {
	index int
	on    bool
	err   error
}

// Guard implements Machine. A kernel that has no guard is asked once; one that
// was put there by an earlier process is renewed once.
func (k *Kernel) Guard(device string, on bool) error {
	l, err := k.links.ByName(device)
	if err != nil {
		return unlessGone(err)
	}
	last, asked := k.guards[device]
	if asked = asked && last.index == l.Index && last.on == on; asked && errors.Is(last.err, bpf.ErrNoGuard) {
		return last.err
	}
	set := asked && (last.err == nil || errors.Is(last.err, bpf.ErrPartial))
	if !on && set {
		return nil
	}
	err = k.ns.Do(func() error {
		if !on {
			return bpf.Unguard(l.Index)
		}
		if set {
			if stands, _, err := bpf.Guarded(l.Index); stands || err != nil {
				return err
			}
		}
		return bpf.Guard(l.Index)
	})
	k.guards[device] = guarded{l.Index, on, err}
	return err
}

// Enforcement implements Machine. It may be called from any goroutine.
func (k *Kernel) Enforcement(device string) *status.Enforcement {
	l, err := k.links.ByName(device)
	if err != nil {
		return nil
	}
	e := &status.Enforcement{}
	for _, p := range *k.closed.Load() {
		if p.Index == l.Index {
			e.NoXDP = p.noXDP
		}
	}
	err = k.ns.Do(func() error {
		s, err := bpf.Observe(l.Index)
		if err != nil {
			return err
		}
		e.Ingress, e.Egress = s.Ingress.Mode.String(), s.Egress.Mode.String()
		stands, n, err := bpf.Guarded(l.Index)
		if err != nil {
			stands, e.GuardError = false, err.Error()
		}
		e.Guard, e.Refused = stands, map[string]uint64{"bypass": n.Bypass, "xdp": n.XDP}
		return nil
	})
	if err != nil {
		return nil
	}
	return e
}
