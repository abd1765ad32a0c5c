package reconcile

import (
	"errors"
	"slices"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// guardState is why a guard does not stand; "" if it does.
type guardState string

// guard tells, once, that a must-secure port's or tunnel's device is not guarded,
// and that it is again. It is no reason not to run: the filter stands without.
func (s *guardState) guard(r *Reconciler, owner, device, text string) {
	if text == string(*s) {
		return
	}
	if *s = guardState(text); text != "" {
		r.log.Warn("the device is not guarded: frames sent with PACKET_QDISC_BYPASS or by AF_XDP pass its filter by", "of", owner, "device", device, "error", text)
		return
	}
	r.log.Info("the device is guarded", "of", owner, "device", device)
}

// guards has devices guarded, and says why one is not; "" if it is, or need not be.
func (r *Reconciler) guards(o plan.Observed) map[string]string {
	why := make(map[string]string)
	guard := func(device string) {
		if _, asked := why[device]; asked {
			return
		}
		why[device] = ""
		if _, there := o.Links[device]; !there {
			return
		}
		must := r.must(device)
		if err := r.o.Machine.Guard(device, must); err != nil && must {
			why[device] = err.Error()
		}
	}
	for _, p := range r.cfg.Ports {
		guard(p.Device)
	}
	for _, t := range r.cfg.Tunnels {
		guard(t.Device)
	}
	return why
}

// must tells the device of a must-secure port or tunnel.
func (r *Reconciler) must(device string) bool {
	return slices.ContainsFunc(r.cfg.Ports, func(p config.Port) bool { return p.Must && p.Device == device }) ||
		slices.ContainsFunc(r.cfg.Tunnels, func(t config.Tunnel) bool { return t.Must && t.Device == device })
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
	if !on && asked && last.err == nil {
		return nil
	}
	err = k.ns.Do(func() error {
		if !on {
			return bpf.Unguard(l.Index)
		}
		if asked && last.err == nil {
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
	err = k.ns.Do(func() error {
		s, err := bpf.Observe(l.Index)
		if err != nil {
			return err
		}
		e.Ingress, e.Egress = s.Ingress.Mode.String(), s.Egress.Mode.String()
		stands, n, err := bpf.Guarded(l.Index)
		if err != nil {
			e.GuardError = err.Error()
			return nil
		}
		e.Guard, e.Refused = stands, map[string]uint64{"bypass": n.Bypass, "xdp": n.XDP}
		return nil
	})
	if err != nil {
		return nil
	}
	return e
}
