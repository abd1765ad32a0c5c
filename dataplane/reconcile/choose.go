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

// Capabilities puts together what check found. What it does not know is not missing: a
// port that is in the kernel would be taken out of it.
func Capabilities(check func(probe.Feature) probe.Result) plan.Capabilities {
	var untried string
	ok := func(f probe.Feature) (bool, string) {
		r := check(f)
		if r.Unknown && untried == "" {
			untried = r.Detail
		}
		return r.OK, r.Detail
	}
	told := func() plan.Capabilities {
		can := asked()
		can.Untried = untried
		return can
	}
	if may, _ := ok(probe.CapSysAdmin); !may {
		return told()
	}
	lacks := func(features ...probe.Feature) string {
		for _, f := range features {
			if there, detail := ok(f); !there {
				return detail
			}
		}
		return ""
	}
	can := plan.Capabilities{NoMACsec: lacks(probe.MACsec, probe.MACsecGCM), NoTap: lacks(probe.Tap),
		NoWireGuard: lacks(probe.WireGuard), NoESP: lacks(probe.XFRM), NoXFRM: lacks(probe.XFRMI)}
	if can.NoMACsec == "" {
		can.NoXPN = lacks(probe.MACsecXPN)
	}
	if untried != "" {
		return told()
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
	can := r.o.Machine.Capabilities()
	r.untried = can.Untried != ""
	chosen := Choose(c, can)
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

// placeLacking chooses again where the machine could not have a port or a tunnel; and
// for what does not run, where nobody knew what the machine can.
func (r *Reconciler) placeLacking() {
	lacking := false
	for _, c := range r.chosen {
		lacking = lacking || c.Lack != nil
	}
	if !lacking && !r.untried || time.Since(r.probed) < reprobe {
		return
	}
	if r.untried {
		r.chosen = r.place(r.cfg)
		return
	}
	r.probed = time.Now()
	for name, c := range Choose(r.cfg, r.o.Machine.Capabilities()) {
		if r.chosen[name].Lack != nil {
			r.chosen[name] = c
		}
	}
}
