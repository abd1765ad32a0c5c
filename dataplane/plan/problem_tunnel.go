package plan

import (
	"fmt"
	"slices"
	"strings"
)

// check returns what keeps t from being built. A device that a port makes may
// come with it, unless ports has a problem of that port.
func (t Tunnel) check(desired Desired, observed Observed, ports []Problem) (all []Problem) {
	note := func(remedy, cause string, args ...any) {
		all = append(all, Problem{Tunnel: t.Name, Cause: fmt.Sprintf(cause, args...), Remedy: remedy})
	}
	device, there := observed.Links[t.Device]
	if !there && !desired.makes(t.Device, ports) {
		remedy := "linkseal goes on when it appears; `ip link` lists the devices that there are"
		if kept := unclaimed(desired, observed); t.Must && len(kept) > 0 {
			remedy += "; the filter of " + strings.Join(kept, ", ") + " stays until then: it may be the same device, renamed"
		}
		note(remedy, "device %s does not exist", t.Device)
	}
	if t.Lack != nil {
		note(t.Lack.Remedy, "%s", t.Lack.Cause)
	}
	for _, p := range desired.Ports {
		if p.Device == t.Device && p.Must {
			note("name the port's interface, "+p.Interface, "device %s is that of must-secure port %s", t.Device, p.Name)
		}
	}
	if t.Must && there {
		if why, unreadable := observed.Unreadable[t.Device]; unreadable {
			note("linkseal tries to set it, and looks again", "the filter of %s cannot be read: %s", t.Device, why)
		}
		if device.MAC == (MAC{}) {
			note("name an Ethernet device, or secure: should", "device %s has no Ethernet address, and what is protected cannot be kept off it", t.Device)
		}
	}
	for _, m := range t.Members {
		link, taken := observed.Links[m.Interface]
		if _, _, owned := link.member(); !taken || owned || t.Link == NoLink {
			continue
		}
		note(fmt.Sprintf("ip link delete %s if nobody needs it, or give the tunnel another interface name", m.Interface),
			"interface %s exists and was not made by linkseal", m.Interface)
	}
	return all
}

// makes tells whether a port without a problem has the interface called name.
func (d Desired) makes(name string, problems []Problem) bool {
	for _, p := range d.Ports {
		if p.Interface == name {
			return !slices.ContainsFunc(problems, func(q Problem) bool { return q.Port == p.Name })
		}
	}
	return false
}
