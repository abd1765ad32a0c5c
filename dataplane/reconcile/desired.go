package reconcile

import (
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
)

// sciPort is the port identifier of every SCI: a station with one SecY on a
// MAC address uses 1 (802.1AE 9.9).
const sciPort = 1

// Desired is what c asks of the machine.
func Desired(c *config.Config) plan.Desired {
	var d plan.Desired
	for i := range c.Ports {
		p := &c.Ports[i]
		d.Ports = append(d.Ports, plan.Port{
			Name: p.Name, Device: p.Device, Interface: p.Interface, SCIPort: sciPort,
			Suite: p.Cipher.Suite(), Encrypt: p.Encrypt, SendSCI: p.SendSCI, ReplayWindow: p.ReplayWindow,
			Must: p.Must, MTU: p.MTU, Addresses: p.Addresses,
			Filter: plan.Filter{EAPOLDestination: plan.MAC(p.MKA.Destination), EAPOLEtherType: p.MKA.EtherType, Allow: p.Allow},
		})
	}
	return d
}
