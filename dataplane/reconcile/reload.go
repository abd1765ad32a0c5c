package reconcile

import (
	"errors"
	"sync"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/sdnotify"
)

const (
	ready    = sdnotify.Ready
	watchdog = sdnotify.Watchdog
)

// reload reads the configuration anew, for those too who have asked up to now;
// tell tells them what became of it.
func (r *Reconciler) reload() (tell func()) {
	r.mu.Lock()
	asked := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	wrong := r.replace()
	return func() {
		for _, done := range asked {
			done <- wrong // has room
		}
	}
}

// replace reads the configuration anew and runs it, or keeps what runs and
// says all that is wrong with it.
func (r *Reconciler) replace() (wrong []string) {
	r.notify(sdnotify.Reloading())
	defer r.notify(sdnotify.Ready)
	cfg, err := r.o.Load()
	var all []error
	var chosen map[string]plan.Choice
	if err != nil {
		all = each(err)
	} else {
		chosen = r.place(cfg)
		all = append(r.vet(cfg), r.fits(cfg, chosen)...)
	}
	if len(all) > 0 {
		for _, e := range all {
			r.log.Error("the configuration is refused; what runs goes on", "error", e)
			wrong = append(wrong, e.Error())
		}
		r.setReloadErrors(wrong)
		return wrong
	}
	r.setReloadErrors(nil)
	if cfg.Socket != r.cfg.Socket || cfg.Group != r.cfg.Group || cfg.State != r.cfg.State {
		r.log.Warn("control socket, its group and state directory change with a restart, not with a reload", "socket", r.cfg.Socket, "group", r.cfg.Group, "state", r.cfg.State)
	}
	r.cfg, r.chosen = cfg, chosen
	r.follow()
	for name, n := range r.rings {
		if p, ok := n.source.(interface{ Poll() }); ok {
			p.Poll() // nothing tells it of a change
		}
		r.reread(name)
		n.chosen = "" // a port may have changed its keychain
	}
	r.configured()
	r.log.Info("configuration reloaded", "file", cfg.File, "ports", len(cfg.Ports), "tunnels", len(cfg.Tunnels))
	return nil
}

func (r *Reconciler) configured() {
	if r.o.Configured != nil {
		r.o.Configured(r.cfg)
	}
}

// vet reads the keychains of a new configuration, so that a bad one is
// refused as a whole.
func (r *Reconciler) vet(c *config.Config) (all []error) {
	used := usedBy(c)
	for _, k := range c.Keychains {
		if !used[k.Name] {
			continue
		}
		s, err := r.o.Source(k)
		if err == nil {
			chain, e := r.read(c, s, k.Name)
			if err = e; err == nil {
				chain.Zero()
			}
			if errors.Is(err, keychain.ErrPending) {
				err = nil // it comes later
			}
		}
		if err != nil {
			all = append(all, each(err)...)
		}
		var refused *file.Refused
		if errors.As(err, &refused) {
			for _, p := range c.CheckLengths(k.Name, refused.Keys) {
				all = append(all, p)
			}
		}
	}
	return all
}

// fits refuses a configuration under which a port that runs could not be made
// on this machine. One that does not run now may wait for its device.
func (r *Reconciler) fits(c *config.Config, chosen map[string]plan.Choice) (all []error) {
	desired := Desired(c, chosen)
	observed, err := r.o.Machine.Observe(desired)
	if err != nil {
		return nil // nothing is known against it
	}
	before := make(map[plan.Problem]bool)
	for _, p := range plan.Check(Desired(r.cfg, r.chosen), observed) {
		before[p] = true
	}
	for _, p := range plan.Check(desired, observed) {
		port, tunnel := r.ports[p.Port], r.tunnels[p.Tunnel]
		if runs := port != nil && port.session != nil || tunnel != nil && tunnel.session != nil; runs && !before[p] {
			all = append(all, p)
		}
	}
	return all
}

func (r *Reconciler) setReloadErrors(texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reloadErrors = texts
}

// end closes the sessions. Everything in the kernel stays, and peers are asked to
// keep their part of it; all ports at once, since each may take a second. What
// user space carries ends with the process: there peers are to know at once that
// nothing passes, so that routing takes another way.
func (r *Reconciler) end() {
	r.notify(sdnotify.Stopping)
	r.endKept() // MKA goes on while a TPM takes its time
	var leaving sync.WaitGroup
	for _, p := range r.ports {
		if p.session != nil && !p.place.Userspace {
			leaving.Go(func() { p.leave(r) })
		}
	}
	leaving.Wait()
	for _, p := range r.ports {
		what := "the daemon stops; the port has no SAs"
		switch {
		case p.session == nil:
		case p.place.Userspace:
			what = "the daemon stops, and with it the SecY in user space: nothing passes the port's interface until it runs again"
		default:
			what = "the daemon stops; the kernel goes on encrypting with the SAs that the port has, and peers keep theirs for as long as MKA is suspended there, or else for the life time"
		}
		p.close(r, "the daemon stops")
		enforcement := "none: secure: should"
		if p.cfg.Must {
			enforcement = "a filter that is there stays: nothing passes it in clear"
		}
		r.log.Info(what, "port", p.cfg.Name, "interface", p.cfg.Interface, "device", p.cfg.Device, "enforcement", enforcement)
	}
	r.endTunnels()
	for _, n := range r.rings {
		n.stop()
		if n.chain != nil {
			n.chain.Zero()
		}
	}
}

func (r *Reconciler) notify(states ...string) {
	if r.o.Notify == nil {
		return
	}
	if err := r.o.Notify(states...); err != nil {
		r.log.Warn("the service manager does not listen", "error", err)
	}
}
