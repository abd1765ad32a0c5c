package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
)

// NetworkDir is where Networks belong, and what begins their names: before what
// people call theirs.
const (
	NetworkDir    = "/run/systemd/network"
	NetworkPrefix = "10-linkseal-"
)

// Networks are networkd's files by their names: the ports' devices, which belong
// to linkseal, and the interfaces that it makes, unless their addresses are
// somebody else's (no addresses: in the configuration).
func Networks(c *config.Config) map[string]string {
	files := map[string]string{}
	if c == nil {
		return files
	}
	add := func(name, what string) {
		if name != "" {
			files[NetworkPrefix+name+".network"] = fmt.Sprintf("# %s\n[Match]\nName=%s\n\n[Link]\nUnmanaged=yes\nRequiredForOnline=no\n", what, escaped(name))
		}
	}
	for _, p := range c.Ports {
		add(p.Device, "A MACsec port: linkseal's own.")
		if p.Addresses != nil {
			add(p.Interface, "Made by linkseal, with its addresses.")
		}
	}
	for _, t := range c.Tunnels {
		if t.Transport() || t.Addresses == nil {
			continue
		}
		for n := range t.Count {
			add(t.MemberInterface(n), "Made by linkseal, with its addresses.")
		}
	}
	return files
}

// escaped is an interface's name that networkd takes as it is, and not as a
// pattern.
func escaped(name string) string {
	return strings.NewReplacer("*", `[*]`, "?", `[?]`, "[", `[[]`, "!", `[!]`).Replace(name)
}

// overhead is what MACsec adds to a frame.
const overhead = 32

// MTU is what a port's device needs to have at the least.
type MTU struct {
	Device string
	Octets int
}

// MTUs are those of the ports' devices, in the order of the configuration.
func MTUs(c *config.Config) (all []MTU) {
	if c == nil {
		return nil
	}
	for _, p := range c.Ports {
		if p.Device != "" && !slices.ContainsFunc(all, func(m MTU) bool { return m.Device == p.Device }) {
			all = append(all, MTU{p.Device, p.MTU + overhead})
		}
	}
	return all
}

// DeviceRules is what udev reads from DeviceRulesFile: a port's device that comes
// late gets its MTU with its name.
func DeviceRules(c *config.Config) string {
	var b strings.Builder
	b.WriteString("# What linkseal's ports need: MACsec's 32 octets more than the MTU in it.\n")
	for _, m := range MTUs(c) {
		if strings.ContainsAny(m.Device, "\"\\|*?[$%") { // udev's own
			continue
		}
		fmt.Fprintf(&b, "ACTION==\"add|move\", SUBSYSTEM==\"net\", KERNEL==\"%s\", ATTR{mtu}=\"%d\"\n", m.Device, m.Octets)
	}
	return b.String()
}

// DeviceRulesFile is udev's.
const DeviceRulesFile = "/run/udev/rules.d/85-linkseal-ports.rules"
