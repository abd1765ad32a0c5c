package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is what keeps a port or a tunnel from being built, with what to do
// about it. It is an error.
type Problem struct {
	Port   string `json:"port,omitempty"`
	Tunnel string `json:"tunnel,omitempty"` // one of both is there
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

// Owner is the port or tunnel.
func (p Problem) Owner() string {
	if p.Port == "" {
		return p.Tunnel
	}
	return p.Port
}

func (p Problem) Error() string {
	what := "port"
	if p.Port == "" {
		what = "tunnel"
	}
	text := fmt.Sprintf("%s %s: %s", what, p.Owner(), p.Cause)
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// Check returns what keeps ports and tunnels of desired from being built on the
// machine observed, every problem of every one. No step resolves a problem, but that
// setting a filter may help where one cannot be read.
func Check(desired Desired, observed Observed) []Problem {
	var all []Problem
	for _, p := range desired.Ports {
		note := func(remedy, cause string, args ...any) {
			all = append(all, Problem{Port: p.Name, Cause: fmt.Sprintf(cause, args...), Remedy: remedy})
		}
		parent, ok := observed.Links[p.Device]
		if !ok {
			remedy := "linkseal goes on when it appears; `ip link` lists the devices that there are"
			if kept := unclaimed(desired, observed); p.Must && len(kept) > 0 {
				// See release.
				remedy += "; the filter of " + strings.Join(kept, ", ") + " stays until then: it may be the same device, renamed"
			}
			note(remedy, "device %s does not exist", p.Device)
		}
		if p.Lack != nil {
			note(p.Lack.Remedy, "%s", p.Lack.Cause)
		}
		if !ok {
			continue
		}
		if why, unreadable := observed.Unreadable[p.Device]; unreadable && p.Must {
			note("linkseal tries to set it, and looks again", "the filter of %s cannot be read: %s", p.Device, why)
		}
		if most := parent.MTU - Overhead; p.MTU > most {
			note(fmt.Sprintf("ip link set %s mtu %d, or mtu: %d in the configuration", p.Device, p.MTU+Overhead, most),
				"mtu %d does not fit on %s: its MTU is %d and MACsec takes %d octets of it", p.MTU, p.Device, parent.MTU, Overhead)
		}
		if parent.MAC == (MAC{}) {
			note("name an Ethernet device; `ip link` lists them", "device %s has no Ethernet address", p.Device)
		}
		if _, owned := parent.port(); owned || parent.MACsec != nil {
			note("name the device below it", "device %s is a MACsec device itself", p.Device)
		}
		if link, taken := observed.Links[p.Interface]; taken {
			if _, owned := link.port(); !owned {
				note(fmt.Sprintf("ip link delete %s if nobody needs it, or give the port another interface name", p.Interface),
					"interface %s exists and was not made by linkseal", p.Interface)
			}
		}
		want := (&builder{Observed: observed}).sci(p)
		for _, name := range slices.Sorted(maps.Keys(observed.Links)) {
			link := observed.Links[name]
			if _, owned := link.port(); name != p.Interface && !owned && !link.unfinished() &&
				link.Parent == p.Device && link.MACsec != nil && link.MACsec.SCI == want {
				note(fmt.Sprintf("ip link delete %s, or stop what made it", name),
					"%s on %s has the port's SCI %s already and was not made by linkseal", name, p.Device, want)
			}
		}
	}
	for _, t := range desired.Tunnels {
		all = append(all, t.check(desired, observed, all)...)
	}
	return all
}

// unclaimed are the devices that have a filter and no port.
func unclaimed(desired Desired, observed Observed) (devices []string) {
	for _, device := range slices.Sorted(maps.Keys(observed.Filters)) {
		if _, wanted := desired.Filter(device); !wanted {
			devices = append(devices, device)
		}
	}
	return devices
}
