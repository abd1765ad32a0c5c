package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/probe"
)

// tunnelRequirements are what the tunnels of a configuration need of a machine
// that can as said: those of the dataplane that each takes there.
func tunnelRequirements(cfg *config.Config, can plan.Capabilities) (out []requirement) {
	chosen := reconcile.Choose(cfg, can)
	for _, t := range cfg.Tunnels {
		why := "tunnel " + t.Name
		need := func(why string, anyOf ...probe.Feature) { out = append(out, requirement{anyOf, why}) }
		need(why, probe.CapNetAdmin)
		user := chosen[t.Name].Dataplane == plan.Userspace
		inUser := "dataplane userspace of " + why
		switch {
		case t.WireGuard != nil && user && t.Dataplane == config.Auto && chosen[t.Name].Lack != nil:
			need(why, probe.WireGuard, probe.Tap) // either will do
		case t.WireGuard != nil && user:
			need(inUser, probe.Tap)
		case t.WireGuard != nil:
			need(why, probe.WireGuard)
		default:
			need(why, probe.Charon)
			// Transport mode and several members are the kernel's alone.
			if user && !t.Transport() && t.Count == 1 {
				need(inUser, probe.Tap)
				need(inUser, probe.CharonESP)
				break
			}
			need(why, probe.XFRM)
			if !t.Transport() {
				need(why, probe.XFRMI)
			}
		}
		if !t.Transport() {
			need("routes of "+why, probe.Policy)
		}
		if t.Count > 1 {
			need("count of "+why, probe.Multipath)
		}
		if t.MSS > 0 {
			need("mss of "+why, probe.NFT)
		}
		if t.Probe != nil {
			need("probe of "+why, probe.CapNetRaw)
		}
		if t.Must {
			out = append(out, filterRequirements("secure: must of "+why)...)
		}
	}
	return out
}

// filterRequirements are what a filter on a device needs; CAP_SYS_ADMIN is to
// read it back from there; TCX or clsact are for ingress too, where there is no XDP.
func filterRequirements(why string) (out []requirement) {
	for _, anyOf := range [][]probe.Feature{{probe.CapBPF}, {probe.CapSysAdmin}, {probe.BPF}, {probe.TCX, probe.Clsact}} {
		out = append(out, requirement{anyOf, why})
	}
	return out
}

// tunnelAuto is what `dataplane: auto` takes of each type of tunnel.
type tunnelAuto struct {
	WireGuard autoChoice `json:"wireguard"`
	IPsec     autoChoice `json:"ipsec"`
}

func chooseTunnelAuto(can plan.Capabilities, charon probe.Result) tunnelAuto {
	say := func(c plan.Choice) autoChoice {
		if c.Lack != nil {
			return autoChoice{"", fmt.Sprintf("neither, %s; %s", strings.TrimPrefix(c.Lack.Cause, "dataplane auto: "), c.Lack.Remedy)}
		}
		return autoChoice{string(c.Dataplane), strings.TrimPrefix(c.Reason, "auto: ")}
	}
	a := tunnelAuto{say(can.ChooseTunnel(plan.Auto, plan.WireGuard, false, false)), say(can.ChooseTunnel(plan.Auto, plan.XFRM, false, false))}
	if !charon.OK {
		a.IPsec = autoChoice{"", fmt.Sprintf("none, %s; %s", charon.Detail, charon.Remedy)}
	}
	return a
}

func (a tunnelAuto) lines(b *strings.Builder) {
	for _, t := range []struct {
		name string
		autoChoice
	}{{"auto of WireGuard", a.WireGuard}, {"auto of IPsec", a.IPsec}} {
		if t.Takes != "" {
			t.Takes += ": "
		}
		fmt.Fprintf(b, "%-8s %-24s %s%s\n", "note", t.name, t.Takes, t.Reason)
	}
}

// setting is how a setting of the machine's is for a tunnel.
type setting struct {
	ID       string `json:"id"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`
	Detail   string `json:"detail"`
	Remedy   string `json:"remedy,omitempty"`
}

// tunnelFinding is what stands below a tunnel now.
type tunnelFinding struct {
	Tunnel   string    `json:"tunnel"`
	Device   string    `json:"device"`
	Settings []setting `json:"settings"`
	// Enforcement is absent of should, and while the device is not there.
	*status.Enforcement
	must bool
}

// settings are what a machine has set, as far as tunnels depend on it.
type settings struct {
	sysctl func(path string) (string, error) // below /proc/sys/net
	leaves func(t config.Tunnel) (device string, err error)
}

func machineSettings() settings {
	return settings{
		sysctl: func(path string) (string, error) {
			b, err := os.ReadFile("/proc/sys/net/" + path)
			return strings.TrimSpace(string(b)), err
		},
		leaves: func(t config.Tunnel) (string, error) {
			ways, err := netlink.RouteGet(t.Remote.AsSlice())
			if err != nil || len(ways) == 0 {
				return "", errors.Join(errors.New("no route"), err)
			}
			l, err := netlink.LinkByIndex(ways[0].LinkIndex)
			if err != nil {
				return "", err
			}
			return l.Attrs().Name, nil
		},
	}
}

// tunnelFindings are those of a configuration, in this network namespace.
func tunnelFindings(cfg *config.Config, s settings, enforcement func(device string) *status.Enforcement) (all []tunnelFinding) {
	for _, t := range cfg.Tunnels {
		f := tunnelFinding{Tunnel: t.Name, Device: t.Device, Settings: []setting{s.reversePath(t)}, must: t.Must}
		if !t.Transport() {
			f.Settings = append(f.Settings, s.forwards(t)...)
		}
		if t.Must {
			f.Enforcement = enforcement(t.Device)
		}
		all = append(all, f)
	}
	return all
}

// reversePath tells whether what comes from the remote is let in: with a strict
// rp_filter only by the device by which the way back leaves (RFC 3704, 2.2).
func (s settings) reversePath(t config.Tunnel) setting {
	out := setting{ID: "rp_filter", OK: true, Required: true}
	if !t.Remote.Is4() {
		out.Detail = "none for IPv6"
		return out
	}
	strict := ""
	highest := "0"
	for _, name := range []string{"all", t.Device} {
		v, err := s.sysctl("ipv4/conf/" + name + "/rp_filter")
		if errors.Is(err, fs.ErrNotExist) {
			out.Detail = t.Device + " is not there"
			return out
		}
		if err != nil {
			out.Detail = err.Error()
			return out
		}
		if v > highest { // 0, 1, 2: the greater of the two counts
			highest, strict = v, name
		}
	}
	if highest != "1" {
		out.Detail = "not strict on " + t.Device
		return out
	}
	by, err := s.leaves(t)
	switch {
	case err != nil:
		out.Detail = fmt.Sprintf("strict on %s, and there is no way to %s yet (%v)", t.Device, t.Remote, err)
	case by == t.Device:
		out.Detail = fmt.Sprintf("strict on %s, by which %s is reached", t.Device, t.Remote)
	default:
		out.OK = false
		out.Detail = fmt.Sprintf("strict (net.ipv4.conf.%s.rp_filter = 1), and %s is reached by %s: what it sends to %s is dropped", strict, t.Remote, by, t.Device)
		out.Remedy = fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2, or a route to %s by %s", t.Device, t.Remote, t.Device)
	}
	return out
}

// forwards tells whether the machine forwards what others send into t. It is
// wanted of a router alone, so that it is no requirement.
func (s settings) forwards(t config.Tunnel) (all []setting) {
	done := map[bool]bool{}
	for _, p := range t.Protect {
		six := !p.Addr().Is4()
		if done[six] {
			continue
		}
		done[six] = true
		id, path, name := "ip_forward", "ipv4/ip_forward", "net.ipv4.ip_forward"
		if six {
			id, path, name = "ipv6_forwarding", "ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"
		}
		v, err := s.sysctl(path)
		switch out := (setting{ID: id, OK: true}); {
		case err != nil:
			out.OK, out.Detail, out.Remedy = false, err.Error(), "mount /proc/sys"
			all = append(all, out)
		case v == "0":
			out.OK, out.Detail = false, name+" is 0: what other machines send is not forwarded into the tunnel"
			out.Remedy = "sysctl -w " + name + "=1 if this machine is their gateway"
			all = append(all, out)
		default:
			out.Detail = name + " is " + v
			all = append(all, out)
		}
	}
	return all
}

// missing are the settings without which the tunnel does not work.
func (f tunnelFinding) missing() (all []string) {
	for _, s := range f.Settings {
		if s.Required && !s.OK {
			all = append(all, fmt.Sprintf("%s (for tunnel %s)", s.ID, f.Tunnel))
		}
	}
	return all
}

func (f tunnelFinding) lines(b *strings.Builder) {
	for _, s := range f.Settings {
		state, text := "ok", s.Detail
		switch {
		case !s.OK && s.Required:
			state, text = "missing", text+"; "+s.Remedy+" (required)"
		case !s.OK:
			state, text = "note", text+"; "+s.Remedy
		}
		fmt.Fprintf(b, "%-8s %-24s %s\n", state, f.Tunnel+" "+s.ID, text)
	}
	switch {
	case f.Enforcement != nil:
		fmt.Fprintf(b, "%-8s %-24s %s: %s\n", "tunnel", f.Tunnel, f.Device, f.Enforcement)
	case f.must:
		fmt.Fprintf(b, "%-8s %-24s %s is not there, or cannot be looked at\n", "tunnel", f.Tunnel, f.Device)
	}
}
