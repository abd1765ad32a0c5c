package reconcile

import (
	"errors"
	"maps"
	"slices"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// guardState is why a guard does not stand; "" if it does.
type guardState string

// tell tells, once, that a must-secure port's or tunnel's device is not guarded,
// and that it is again. It is no reason not to run: the filter stands without.
func (s *guardState) tell(r *Reconciler, owner, device, text string) {
	if text == string(*s) {
		return
	}
	if *s = guardState(text); text != "" {
		r.log.Warn("the device is not guarded: frames sent with PACKET_QDISC_BYPASS or by AF_XDP pass its filter by", "of", owner, "device", device, "error", text)
		return
	}
	r.log.Info("the device is guarded", "of", owner, "device", device)
}

// guard guards the devices of must-secure ports and tunnels, before anything is
// set up on them, or unguards the others, whose filters have opened.
func (r *Reconciler) guard(o plan.Observed, must bool) {
	why := make(map[string]string) // by device that was asked; "": it is as it should be
	ask := func(device string) bool {
		if r.must(device) != must {
			return false
		}
		if _, asked := why[device]; asked {
			return true
		}
		why[device] = ""
		if _, there := o.Links[device]; there {
			if err := r.o.Machine.Guard(device, must); err != nil && must {
				why[device] = err.Error()
			}
		}
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(r.ports)) {
		if p := r.ports[name]; ask(p.cfg.Device) {
			p.unguarded.tell(r, name, p.cfg.Device, why[p.cfg.Device])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.tunnels)) {
		if t := r.tunnels[name]; ask(t.cfg.Device) {
			t.guarded.tell(r, name, t.cfg.Device, why[t.cfg.Device])
		}
	}
}

// must tells the device of a must-secure port or tunnel.
func (r *Reconciler) must(device string) bool {
	return slices.ContainsFunc(r.cfg.Ports, func(p config.Port) bool { return p.Must && p.Device == device }) ||
		slices.ContainsFunc(r.cfg.Tunnels, func(t config.Tunnel) bool { return t.Must && t.Device == device })
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
			p.session.Enforced("there is no guard: " + string(p.unguarded))
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
