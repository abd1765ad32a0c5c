package reconcile

import (
	"errors"
	"io/fs"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/macsec"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/tap"
)

// reprobe is how often a port that the machine cannot have is looked at again:
// a module may be loaded, a device node appear.
const reprobe = 30 * time.Second

// Capabilities tries what SecYs need, in network namespaces that are thrown
// away, or asks where it may make none.
func (k *Kernel) Capabilities() plan.Capabilities { return Capabilities(probe.Feature.Ask) }

// Capabilities puts together what check found.
func Capabilities(check func(probe.Feature) probe.Result) plan.Capabilities {
	if !check(probe.CapSysAdmin).OK {
		return asked()
	}
	lacks := func(features ...probe.Feature) string {
		for _, f := range features {
			if r := check(f); !r.OK {
				return r.Detail
			}
		}
		return ""
	}
	can := plan.Capabilities{NoMACsec: lacks(probe.MACsec, probe.MACsecGCM), NoTap: lacks(probe.Tap),
		NoWireGuard: lacks(probe.WireGuard), NoESP: lacks(probe.XFRM), NoXFRM: lacks(probe.XFRMI)}
	if can.NoMACsec == "" {
		can.NoXPN = lacks(probe.MACsecXPN)
	}
	return can
}

// asked is what can be told without making devices. Of gcm(aes) and XPN that is
// nothing, so that a kernel without them refuses the device or its SAs; nor is
// it of what this process may not look at, and another may.
//
// Nor is it of WireGuard, ESP and XFRM interfaces.
func asked() (can plan.Capabilities) {
	c, err := macsec.Dial()
	if err == nil {
		err = c.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		can.NoMACsec = err.Error()
	}
	if err := tap.Available(); err != nil && !errors.Is(err, fs.ErrPermission) {
		can.NoTap = err.Error()
	}
	return can
}

// place says where the ports of c run. What runs, and is configured as it
// was, stays where it is, whatever the machine can by now.
func (r *Reconciler) place(c *config.Config) map[string]plan.Choice {
	r.probed = time.Now()
	chosen := Choose(c, r.o.Machine.Capabilities())
	for _, p := range c.Ports {
		if runs := r.ports[p.Name]; runs != nil && runs.session != nil && runs.cfg.Dataplane == p.Dataplane && runs.cfg.Cipher == p.Cipher {
			chosen[p.Name] = r.chosen[p.Name]
		}
	}
	for _, t := range c.Tunnels {
		if runs := r.tunnels[t.Name]; runs != nil && runs.session != nil && runs.cfg.Dataplane == t.Dataplane && runs.cfg.Type == t.Type {
			chosen[t.Name] = r.chosen[t.Name]
		}
	}
	return chosen
}

// placeLacking chooses again where the machine could not have a port or a tunnel.
func (r *Reconciler) placeLacking() {
	lacking := false
	for _, c := range r.chosen {
		lacking = lacking || c.Lack != nil
	}
	if !lacking || time.Since(r.probed) < reprobe {
		return
	}
	r.probed = time.Now()
	for name, c := range Choose(r.cfg, r.o.Machine.Capabilities()) {
		if r.chosen[name].Lack != nil {
			r.chosen[name] = c
		}
	}
}
