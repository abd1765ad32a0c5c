package config

import "fmt"

// What a device's filter has room for, of flows of the must-secure tunnels on it and
// of prefixes of all:
// bpf.MaxFlowIDs and bpf.MaxPrefixes.
const (
	MaxFlows    = 16384
	MaxPrefixes = 16384
)

// flows is how many kinds of packet of t its filter tells apart, by direction,
// ends and SPI, at the most: while keys are renewed there are two SAs.
func (t Tunnel) flows() int {
	const ways = 2
	if t.IPsec != nil {
		const ikeAndNATT, anySPI, sas = 2, 1, 2
		return ways * (ikeAndNATT + anySPI + sas*t.Count)
	}
	return ways * t.Ports() * (len(t.Remotes()) + 1) // one from where it roams to
}

// room refuses more than the filter of a device has room for.
func (d *decoder) room() {
	flows, prefixes := map[string]int{}, 0 // each underlay holds back what all protect
	full := map[string]bool{}
	for i, t := range d.Tunnels {
		if !t.Must || full[t.Device] {
			continue
		}
		flows[t.Device] += t.flows()
		prefixes += len(t.Protect)
		at := d.tunnels[i].Get("name")
		switch {
		case flows[t.Device] > MaxFlows:
			full[t.Device] = true
			at.Wrong(fmt.Sprintf("tunnels up to %s are %d flows on device %s, by direction, ends, ports and SPIs; its filter has room for %d", t.Name, flows[t.Device], t.Device, MaxFlows),
				"smaller counts, fewer peers or tunnels with a keychain, or another device for some")
		case prefixes > MaxPrefixes && prefixes-len(t.Protect) <= MaxPrefixes:
			at.Wrong(fmt.Sprintf("tunnels up to %s protect %d prefixes; a device's filter has room for %d", t.Name, prefixes, MaxPrefixes),
				"greater prefixes")
		}
	}
}
