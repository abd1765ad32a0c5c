package reconcile

import (
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/plan"
)

// sciPort is the port identifier of every SCI: a station with one SecY on a
// MAC address uses 1 (802.1AE 9.9).
const sciPort = 1

// Choose says of each port and tunnel of c, by its name, where it runs on a
// machine of these capabilities.
func Choose(c *config.Config, can plan.Capabilities) map[string]plan.Choice {
	chosen := make(map[string]plan.Choice, len(c.Ports))
	for _, p := range c.Ports {
		chosen[p.Name] = choose(p, can)
	}
	chooseTunnels(c, can, chosen)
	return chosen
}

func choose(p config.Port, can plan.Capabilities) plan.Choice {
	return can.Choose(plan.Dataplane(p.Dataplane), p.Cipher.Suite())
}

// Desired is what c asks of the machine, its SecYs and tunnels where they are
// chosen to be. It is not known which tunnels are live: what is routed stays so.
func Desired(c *config.Config, chosen map[string]plan.Choice) plan.Desired {
	return desired(c, chosen, nil)
}

// desired is Desired with how the tunnels are, by name.
func desired(c *config.Config, chosen map[string]plan.Choice, views map[string]overlay.View) plan.Desired {
	var d plan.Desired
	for i := range c.Ports {
		p := &c.Ports[i]
		d.Ports = append(d.Ports, plan.Port{
			Name: p.Name, Device: p.Device, Interface: p.Interface, SCIPort: sciPort,
			Dataplane: chosen[p.Name].Dataplane, Lack: chosen[p.Name].Lack,
			Suite: p.Cipher.Suite(), Encrypt: p.Encrypt, SendSCI: p.SendSCI, ReplayWindow: p.ReplayWindow,
			Must: p.Must, MTU: p.MTU, Addresses: p.Addresses,
			Filter: plan.Filter{EAPOLDestination: plan.MAC(p.MKA.Destination), EAPOLEtherType: p.MKA.EtherType, Allow: p.Allow},
			Tags:   tags(p.Tags),
		})
	}
	for i := range c.Tunnels {
		t := &c.Tunnels[i]
		d.Tunnels = append(d.Tunnels, desiredTunnel(t, c.Tunnels, chosen[t.Name], views[t.Name]))
	}
	return d
}

// tags is nil of rules that are absent.
func tags(rules []config.TagRule) *plan.Tags {
	if rules == nil {
		return nil
	}
	t := &plan.Tags{Rules: []plan.TagRule{}}
	for _, r := range rules {
		t.Rules = append(t.Rules, plan.TagRule(r))
	}
	return t
}
