package reconcile

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/macsec"
)

// port is one port of the configuration as it runs.
type port struct {
	cfg     config.Port
	choice  plan.Choice
	changed bool    // cfg is not what session was told last
	session Session // nil: none
	place   Place
	carrier bool
	// promiscuous is what the session was told last.
	promiscuous bool
	problem     *plan.Problem // what keeps it from being built; nil if nothing does
	told        string        // the problem that was logged last
	unguarded   guardState
}

// problem is a step that failed, as a value.
func problem(s plan.Step, err error) *plan.Problem {
	p := &plan.Problem{Port: s.Port, Tunnel: s.Tunnel, Cause: fmt.Sprintf("%s: %v", s, err), Remedy: "it is tried again"}
	var refused *macsec.Error
	if errors.As(err, &refused) && refused.Remedy != "" {
		bare := *refused
		bare.Remedy = ""
		p.Cause, p.Remedy = fmt.Sprintf("%s: %v", s, &bare), refused.Remedy
	}
	return p
}

// attend has a port for each that is configured and none besides. Sessions
// whose port is gone, or whose parameters changed, end before the machine
// changes under them.
func (r *Reconciler) attend(d plan.Desired, o plan.Observed) {
	configured := make(map[string]bool)
	for _, c := range r.cfg.Ports {
		configured[c.Name] = true
		p := r.ports[c.Name]
		if p == nil {
			p = &port{}
			r.ports[c.Name] = p
		}
		switch {
		case p.cfg.Device != c.Device || p.cfg.Interface != c.Interface:
			p.close(r, "its device is another one")
		case !sameSession(p.cfg, c):
			p.close(r, "its parameters changed")
		case p.session != nil && !reflect.DeepEqual(p.cfg, c):
			p.changed = true
		}
		p.cfg, p.choice = c, r.chosen[c.Name]
		p.problem = nil
	}
	for name, p := range r.ports {
		if !configured[name] {
			p.close(r, "it is not in the configuration any more")
			delete(r.ports, name)
		}
	}
	for _, problem := range plan.Check(d, o) {
		if p := r.ports[problem.Port]; p != nil && p.problem == nil {
			p.problem = &problem
		}
	}
}

// sameSession tells whether a KaY that was started for a does for b. Keys,
// addresses, MTU and the like are not its business; SendSCI and ReplayWindow
// change while it runs.
func sameSession(a, b config.Port) bool {
	return a.Must == b.Must && a.Cipher == b.Cipher &&
		a.Encrypt == b.Encrypt && a.ConfidentialityOffset == b.ConfidentialityOffset && a.MKA == b.MKA
}

// suspend ends the sessions of devices that steps will delete, and of those
// that are gone.
func (r *Reconciler) suspend(steps []plan.Step, o plan.Observed) {
	deleted := make(map[string]bool)
	for _, s := range steps {
		if s.Kind == plan.DeleteDevice {
			deleted[s.Link] = true
		}
	}
	for _, p := range r.ports {
		place, there := p.where(o)
		switch {
		case p.session == nil:
		case deleted[p.cfg.Interface]:
			p.close(r, "its device is made anew")
		case !there:
			p.close(r, "its device is gone")
		case place != p.place:
			p.close(r, "its device is another one")
		}
	}
}

// where is the port's place; false if its device is not there, or is not
// linkseal's.
func (p *port) where(o plan.Observed) (Place, bool) {
	parent, ok := o.Links[p.cfg.Device]
	l, made := o.Links[p.cfg.Interface]
	if !ok || !made || l.Alias != plan.Alias(p.cfg.Name) {
		return Place{}, false
	}
	at := Place{Parent: parent.Index, Interface: l.Index}
	if at.Userspace = p.choice.Dataplane == plan.Userspace; at.Userspace {
		at.SCI, at.MTU, at.RxQueues, at.TxQueues = sa.NewSCI(parent.MAC, sciPort), parent.MTU, parent.RxQueues, parent.TxQueues
		return at, l.Tap
	}
	if l.MACsec == nil || l.Parent != parent.Name {
		return Place{}, false
	}
	at.SCI = l.MACsec.SCI
	return at, true
}

// resume gives the port its session if it can have one, and tells it the
// carrier. false: something failed.
func (p *port) resume(r *Reconciler, o plan.Observed, failed *plan.Problem) bool {
	if failed != nil {
		p.problem = failed
	}
	place, there := p.where(o)
	carrier := o.Links[p.cfg.Device].Carrier
	ok := failed == nil
	switch {
	case p.session != nil:
		if p.changed && failed == nil {
			p.session.Configure(p.cfg)
			p.changed = false
		}
		if carrier != p.carrier {
			p.session.LinkChanged(carrier)
		}
	case there && p.problem == nil:
		ok = p.open(r, place, carrier)
	}
	p.carrier = carrier
	if on := o.Links[p.cfg.Interface].Promiscuous; p.session != nil && on != p.promiscuous {
		p.session.SetPromiscuous(on)
		p.promiscuous = on
	}
	p.tell(r)
	return ok
}

func (p *port) open(r *Reconciler, place Place, carrier bool) bool {
	s, err := r.o.Open(p.cfg, place)
	if err != nil {
		p.problem = &plan.Problem{Port: p.cfg.Name, Cause: fmt.Sprintf("MKA does not start: %v", err), Remedy: "it is tried again"}
		return false
	}
	p.session, p.place, p.changed, p.promiscuous = s, place, false, false
	r.log.Info("MKA runs", "port", p.cfg.Name, "device", p.cfg.Device, "interface", p.cfg.Interface, "dataplane", string(p.choice.Dataplane), "sci", place.SCI.String())
	if ring := r.rings[p.cfg.Keychain]; ring != nil && ring.chain != nil {
		s.SetKeys(ring.selection)
	}
	s.LinkChanged(carrier)
	return true
}

// leave has the port's session suspend MKA.
func (p *port) leave(r *Reconciler) {
	if err := p.session.Suspend(); err != nil {
		r.log.Warn("MKA could not be suspended", "port", p.cfg.Name, "error", err)
	}
}

func (p *port) close(r *Reconciler, why string) {
	if p.session == nil {
		return
	}
	if err := p.session.Close(); err != nil {
		r.log.Warn("MKA did not end well", "port", p.cfg.Name, "error", err)
	}
	p.session = nil
	r.log.Info("MKA ends", "port", p.cfg.Name, "why", why)
}

// tell logs the port's problem when it is a new one, and its end.
func (p *port) tell(r *Reconciler) {
	text := ""
	if p.problem != nil {
		text = p.problem.Error()
	}
	if text == p.told {
		return
	}
	p.told = text
	if p.problem == nil {
		r.log.Info("the port's problem is gone", "port", p.cfg.Name)
		return
	}
	r.log.Error("the port cannot be built", "port", p.cfg.Name, "cause", p.problem.Cause, "remedy", p.problem.Remedy)
}
