package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Elsewhere are the machine's routes outside RouteTable, and its rules: what
// could lead around a tunnel.
type Elsewhere struct {
	Routes []OtherRoute
	Rules  []OtherRule
}

// OtherRoute is a unicast route of another table.
type OtherRoute struct {
	Table   int
	Prefix  netip.Prefix
	Devices []string
}

// OtherRule has a table looked up.
type OtherRule struct {
	Family   Family
	Priority uint32
	Table    int // 0: none
}

// The kernel's tables: of routes that have no other, and of its own addresses.
const (
	tableMain  = 254
	tableLocal = 255
)

// ClearRoute is a way by which what a tunnel protects is reached too.
type ClearRoute struct {
	Tunnel  string
	Protect netip.Prefix
	Route   netip.Prefix
	Devices []string
	Why     string
}

func (c ClearRoute) String() string {
	return fmt.Sprintf("%s of protected %s by %s: %s", c.Route, c.Protect, by(c.Devices), c.Why)
}

func by(devices []string) string {
	if len(devices) == 0 {
		return "an unknown interface"
	}
	return strings.Join(devices, ", ")
}

// Astray says of must-secure tunnels, by name, that their own packets do not leave
// by their device, where alone what they protect is kept out.
func Astray(desired Desired, e Elsewhere) map[string]string {
	astray := make(map[string]string)
	for _, t := range desired.Tunnels {
		for _, a := range t.Remotes {
			var best []OtherRoute // the longest prefixes of main
			for _, r := range e.Routes {
				if r.Table != tableMain || !r.Prefix.Contains(a) || len(best) > 0 && r.Prefix.Bits() < best[0].Prefix.Bits() {
					continue
				}
				if len(best) > 0 && r.Prefix.Bits() > best[0].Prefix.Bits() {
					best = nil
				}
				best = append(best, r)
			}
			for i, r := range best {
				if slices.Contains(r.Devices, t.Device) || len(r.Devices) == 0 || !t.Must {
					break
				}
				if i == len(best)-1 {
					astray[t.Name] = fmt.Sprintf("%s is routed by %s, not by device %s: what is protected is kept off %s alone", a, by(r.Devices), t.Device, t.Device)
				}
			}
		}
	}
	return astray
}

// ClearRoutes finds the routes that lead around tunnels, in order: those that
// the kernel takes before RouteTable, and those in main that are as specific as
// what is protected, or more. The first carry what is protected past the tunnel;
// the second do not, but somebody tells of another way to there, and the other
// end may take it.
func ClearRoutes(desired Desired, e Elsewhere) (all []ClearRoute) {
	before := make(map[Family]map[int]uint32) // tables that are looked up before, by the rule's priority
	for _, r := range e.Rules {
		if r.Priority >= RulePriority || r.Table == 0 || r.Table == RouteTable || r.Table == tableLocal {
			continue
		}
		if before[r.Family] == nil {
			before[r.Family] = make(map[int]uint32)
		}
		if _, twice := before[r.Family][r.Table]; !twice {
			before[r.Family][r.Table] = r.Priority
		}
	}
	for _, t := range desired.Tunnels {
		if t.Transport {
			continue
		}
		for _, r := range e.Routes {
			if slices.ContainsFunc(r.Devices, func(name string) bool {
				return slices.ContainsFunc(t.Members, func(m Member) bool { return m.Interface == name })
			}) {
				continue // into the tunnel itself
			}
			priority, first := before[familyOf(r.Prefix.Addr())][r.Table]
			for _, p := range t.Protect {
				why := ""
				switch {
				case !p.Overlaps(r.Prefix):
					continue
				case first:
					why = fmt.Sprintf("rule %d has table %d looked up before linkseal's", priority, r.Table)
				case r.Table == tableMain && r.Prefix.Bits() >= p.Bits():
					why = "a second way to there; what the other end sends may come in clear"
				default:
					continue
				}
				all = append(all, ClearRoute{Tunnel: t.Name, Protect: p, Route: r.Prefix, Devices: r.Devices, Why: why})
			}
		}
	}
	return all
}
