package reconcile

import (
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/plan"
)

// unknownFor is how long a Session may not know whether its members are live; what
// was routed before goes on so long.
const unknownFor = 10 * time.Second

// tunnel is one tunnel of the configuration as it runs.
type tunnel struct {
	cfg     config.Tunnel
	choice  plan.Choice
	changed bool            // cfg is not what session was told last
	session overlay.Session // nil: none
	stop    chan struct{}   // ends what listens to session
	place   overlay.Place
	opened  time.Time
	view    overlay.View  // as of the last look
	routed  bool          // what it protects goes by its live members, as of the last pass
	problem *plan.Problem // what keeps it from being built; nil if nothing does
	told    string        // the problem that was logged last
	clear   []string      // ways around it that there are
	guarded guardState
	answers []io.Closer // to the other end's probes
}

// attendTunnels has a tunnel for each that is configured and none besides.
// Sessions whose tunnel is gone, or whose parameters changed, end before the
// machine changes under them.
func (r *Reconciler) attendTunnels(d plan.Desired, o plan.Observed) {
	configured := make(map[string]bool)
	for _, c := range r.cfg.Tunnels {
		configured[c.Name] = true
		t := r.tunnels[c.Name]
		if t == nil {
			t = &tunnel{cfg: c}
			r.tunnels[c.Name] = t
		}
		switch {
		case t.session == nil:
		case t.cfg.Type != c.Type || t.cfg.Transport() != c.Transport() || t.choice.Dataplane != r.chosen[c.Name].Dataplane:
			t.end(r, true, "it is another kind of tunnel")
		case !overlay.SameSession(t.cfg, c):
			t.end(r, false, "its parameters changed")
		case !reflect.DeepEqual(t.cfg, c):
			t.changed = true
		}
		t.cfg, t.choice, t.problem = c, r.chosen[c.Name], nil
	}
	for name, t := range r.tunnels {
		if !configured[name] {
			t.end(r, true, "it is not in the configuration any more")
			delete(r.tunnels, name)
		}
	}
	for _, problem := range plan.Check(d, o) {
		if t := r.tunnels[problem.Tunnel]; t != nil && t.problem == nil {
			t.problem = &problem
		}
	}
}

// views are how the tunnels that run were at the last look.
func (r *Reconciler) views() map[string]overlay.View {
	views := make(map[string]overlay.View)
	for name, t := range r.tunnels {
		if t.session != nil {
			views[name] = t.view
		}
	}
	return views
}

// look takes how the tunnels are.
func (r *Reconciler) look() map[string]overlay.View {
	for name, t := range r.tunnels {
		if t.session == nil {
			continue
		}
		v := t.session.View()
		if v.State == overlay.Unknown && time.Since(t.opened) > unknownFor {
			v.State, v.Members = overlay.Unsecured, nil
		}
		if v.State != t.view.State {
			what := r.log.Warn
			if v.State == overlay.Secured || t.view.State == overlay.Unknown {
				what = r.log.Info
			}
			what("tunnel", "tunnel", name, "state", string(v.State), "problem", v.Problem)
		}
		t.view = v
	}
	return r.views()
}

// dislodge ends the sessions whose interfaces are gone, or others.
func (r *Reconciler) dislodge(o plan.Observed) {
	for _, t := range r.tunnels {
		if place, there := t.where(o); t.session != nil && (!there || !reflect.DeepEqual(place, t.place)) {
			t.end(r, false, "its interfaces are others")
		}
	}
}

// suspendTunnels ends the sessions whose interfaces steps will delete; false:
// there are none.
func (r *Reconciler) suspendTunnels(steps []plan.Step) (any bool) {
	deleted := make(map[string]bool)
	for _, s := range steps {
		if s.Kind == plan.DeleteDevice {
			deleted[s.Link] = true
		}
	}
	for _, t := range r.tunnels {
		if t.session == nil {
			continue
		}
		for _, m := range t.place.Members {
			if m.Index != 0 && deleted[m.Interface] && t.session != nil {
				t.end(r, true, "its interfaces are made anew")
				any = true
			}
		}
	}
	return any
}

// where is the tunnel's place; false if an interface of it is not there, or is
// not linkseal's.
func (t *tunnel) where(o plan.Observed) (overlay.Place, bool) {
	p := overlay.Place{Userspace: t.choice.Dataplane == plan.Userspace}
	for n := range t.cfg.Count {
		m := overlay.Member{N: n, Interface: t.cfg.MemberInterface(n)}
		if !t.cfg.Transport() && (t.cfg.IPsec == nil || !p.Userspace) {
			l, there := o.Links[m.Interface]
			if !there || l.Alias != overlay.Alias(t.cfg.Name, n) {
				return overlay.Place{}, false
			}
			m.Index = l.Index
		}
		p.Members = append(p.Members, m)
	}
	return p, true
}

// resume gives the tunnel its session if it can have one. false: something
// failed.
func (t *tunnel) resume(r *Reconciler, o plan.Observed, failed *plan.Problem) bool {
	if failed != nil {
		t.problem = failed
	}
	place, there := t.where(o)
	ok := failed == nil
	switch {
	case t.session != nil && t.changed && failed == nil:
		t.session.Configure(t.cfg)
		t.changed = false
		t.answer(r)
		t.setPSKs(r, "")
	case t.session == nil && there && t.problem == nil:
		ok = t.open(r, place)
	}
	t.tell(r)
	return ok
}

func (t *tunnel) open(r *Reconciler, place overlay.Place) bool {
	s, err := r.o.OpenTunnel(t.cfg, place)
	if err != nil {
		t.problem = &plan.Problem{Tunnel: t.cfg.Name, Cause: fmt.Sprintf("it does not start: %v", err), Remedy: "it is tried again"}
		return false
	}
	t.session, t.place, t.changed, t.opened, t.stop = s, place, false, time.Now(), make(chan struct{})
	r.log.Info("tunnel runs", "tunnel", t.cfg.Name, "type", t.cfg.Type, "device", t.cfg.Device, "interface", t.cfg.Interface, "members", len(place.Members), "dataplane", string(t.choice.Dataplane))
	t.setPSKs(r, "")
	t.answer(r)
	go func() {
		r.changed() // what the Session found
		for {
			select {
			case _, open := <-s.Changed():
				if !open {
					return
				}
				r.changed()
			case <-t.stop:
				return
			}
		}
	}()
	return true
}

// changed has the machine looked at soon. It does not wait.
func (r *Reconciler) changed() {
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// setPSKs gives the session what keychain holds now; all if keychain is empty.
func (t *tunnel) setPSKs(r *Reconciler, keychain string) {
	give := func(name string, set func(n *ring)) {
		if n := r.rings[name]; n != nil && n.chain != nil && (keychain == "" || keychain == name) {
			set(n)
		}
	}
	switch {
	case t.session == nil:
	case t.cfg.IPsec != nil:
		give(t.cfg.IPsec.Keychain, func(n *ring) { t.session.SetPSKs(n.psks) })
	case t.cfg.WireGuard != nil:
		give(t.cfg.WireGuard.Keychain, func(n *ring) { t.session.SetPSKs(n.psks) })
		s, keyed := t.session.(overlay.PeerKeyed)
		for i, p := range t.cfg.WireGuard.Peers {
			if keyed {
				give(p.Keychain, func(n *ring) { s.SetPeerPSKs(i, n.psks) })
			}
		}
	}
}

// end ends the session; with remove what encrypts goes too.
func (t *tunnel) end(r *Reconciler, remove bool, why string) {
	if t.session == nil {
		return
	}
	close(t.stop)
	t.silence()
	err := error(nil)
	if remove {
		err = t.session.Remove()
	} else {
		err = t.session.Close()
	}
	if err != nil {
		r.log.Warn("tunnel did not end well", "tunnel", t.cfg.Name, "error", err)
	}
	t.session, t.view, t.routed = nil, overlay.View{}, false
	r.log.Info("tunnel ends", "tunnel", t.cfg.Name, "why", why)
	// A removal waits for others, in bounded time; of many together the service
	// manager hears one by one.
	if r.o.Alive > 0 {
		r.tellAlive()
	}
}

// tell logs the tunnel's problem when it is a new one, and its end.
func (t *tunnel) tell(r *Reconciler) {
	text := ""
	if t.problem != nil {
		text = t.problem.Error()
	}
	if text == t.told {
		return
	}
	t.told = text
	if t.problem == nil {
		r.log.Info("the tunnel's problem is gone", "tunnel", t.cfg.Name)
		return
	}
	r.log.Error("the tunnel cannot be built", "tunnel", t.cfg.Name, "cause", t.problem.Cause, "remedy", t.problem.Remedy)
}

// endTunnels closes the sessions. Routes, enforcement, and what encrypts in the
// kernel stay. What is routed into a tunnel in user space ends there; only one
// that should be secure, and need not, has its way in clear back.
func (r *Reconciler) endTunnels() {
	open := make(map[string]overlay.View)
	for name, t := range r.tunnels {
		if t.session == nil {
			continue
		}
		t.end(r, false, "the daemon stops")
		what := "the daemon stops; the kernel goes on encrypting what the tunnel carries"
		if t.place.Userspace {
			what = "the daemon stops; nothing passes the tunnel until it runs again"
		}
		enforcement := "none: secure: should"
		if t.cfg.Must {
			enforcement = "filter, fence and unreachable routes stay: nothing that is protected goes in clear"
		}
		r.log.Info(what, "tunnel", t.cfg.Name, "interface", t.cfg.Interface, "device", t.cfg.Device, "enforcement", enforcement)
		if t.place.Userspace && !t.cfg.Must {
			open[name] = overlay.View{State: overlay.Unsecured}
		}
	}
	if len(open) == 0 {
		return
	}
	d := desired(r.cfg, r.chosen, open)
	o, err := r.o.Machine.Observe(d)
	if err != nil {
		r.log.Warn("routes into tunnels in user space stay", "error", err)
		return
	}
	for _, s := range plan.Build(d, o) {
		if s.Kind == plan.RemoveRoute {
			if err := r.o.Machine.Apply(s); err != nil {
				r.log.Warn("step failed", "step", s.String(), "error", err)
			}
		}
	}
}
