package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
)

// Owned is what is linkseal's and not networkd's, by name.
type Owned struct {
	// Ports are the ports' devices, with the MTU that each needs.
	Ports []MTU `json:"ports"`
	// Made are the interfaces that linkseal makes, unless their addresses are
	// somebody else's (no addresses: in the configuration).
	Made []string `json:"made"`
}

// MTU is what a port's device needs to have at the least.
type MTU struct {
	Device string `json:"device"`
	Octets int    `json:"octets"`
}

// OwnedBy is what c names, in its order, each once. It may be one that is refused:
// what of it could be read.
func OwnedBy(c *config.Config) (o Owned) {
	if c == nil {
		return o
	}
	for _, p := range c.Ports {
		o.port(MTU{p.Device, p.DeviceMTU()})
		if p.Addresses != nil {
			o.made(p.Interface)
		}
	}
	for _, t := range c.Tunnels {
		if t.Transport() || t.Addresses == nil {
			continue
		}
		for n := range t.Count {
			o.made(t.MemberInterface(n))
		}
	}
	return o
}

func (o *Owned) port(m MTU) {
	if m.Device != "" && !slices.ContainsFunc(o.Ports, func(p MTU) bool { return p.Device == m.Device }) {
		o.Ports = append(o.Ports, m)
	}
}

func (o *Owned) made(name string) {
	if name != "" && !slices.Contains(o.Made, name) {
		o.Made = append(o.Made, name)
	}
}

// And is o with what other names beside it.
func (o Owned) And(other Owned) Owned {
	o.Ports, o.Made = slices.Clone(o.Ports), slices.Clone(o.Made)
	for _, m := range other.Ports {
		o.port(m)
	}
	for _, name := range other.Made {
		o.made(name)
	}
	return o
}

// Networks are networkd's files by their names.
func (o Owned) Networks() map[string]string {
	files := map[string]string{}
	add := func(name, what string) {
		files[NetworkPrefix+name+".network"] = fmt.Sprintf("# %s\n[Match]\nName=%s\n\n[Link]\nUnmanaged=yes\nRequiredForOnline=no\n", what, escaped(name))
	}
	for _, m := range o.Ports {
		add(m.Device, "A MACsec port: linkseal's own.")
	}
	for _, name := range o.Made {
		add(name, "Made by linkseal, with its addresses.")
	}
	return files
}

// escaped is an interface's name that networkd takes as it is, and not as a
// pattern.
func escaped(name string) string {
	return strings.NewReplacer("*", `[*]`, "?", `[?]`, "[", `[[]`, "!", `[!]`).Replace(name)
}

// DeviceRules is what udev reads from DeviceRulesFile: a port's device that comes
// late gets its MTU with its name.
func (o Owned) DeviceRules() string {
	var b strings.Builder
	b.WriteString("# What linkseal's ports need: MACsec's 32 octets more than the MTU in it.\n")
	for _, m := range o.Ports {
		if strings.ContainsAny(m.Device, "\"\\|*?[$%") { // udev's own
			continue
		}
		fmt.Fprintf(&b, "ACTION==\"add|move\", SUBSYSTEM==\"net\", KERNEL==\"%s\", ATTR{mtu}=\"%d\"\n", m.Device, m.Octets)
	}
	return b.String()
}
