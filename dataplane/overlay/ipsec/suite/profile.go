package suite

import (
	"slices"
	"time"
)

// Profile is what a tunnel offers and how long its keys live, under a name.
type Profile struct {
	Name string
	// Why is where it is for, and what limits it there.
	Why      string
	IKE, ESP []string // proposals in strongSwan's words, the best first
	Lifetimes
	// Azure: the far end is one of Azure's gateways, whose policy has room for
	// this alone (Proposal.Azure), and which is spoken to in tunnel mode.
	Azure bool
}

// Lifetimes are when keys are renewed, and when a silent peer is noticed.
type Lifetimes struct {
	IKE, Child time.Duration
	// Octets under one key of ESP.
	Octets uint64
	DPD    time.Duration // between two questions to a silent peer
}

// renewal is below Azure's lifetimes, so that this end renews keys without a
// gap before a gateway cuts them: IKE 28,800 s, ESP 27,000 s and 102,400,000 KB.
var renewal = Lifetimes{
	IKE:    7 * time.Hour,
	Child:  6 * time.Hour,
	Octets: AzureChildKB * 1024 / 10 * 8,
	DPD:    10 * time.Second,
}

const (
	cnsaIKE = "aes256gcm16-prfsha384-ecp384"
	cnsaESP = "aes256gcm16-ecp384"
)

// profiles by name. The best that Azure's policies have is what CNSA 1.0 asks
// for: GCMAES256/SHA384/ECP384 and GCMAES256/GCMAES256/ECP384.
var profiles = map[string]Profile{
	"azure-vpn-gateway": {
		Why: "a connection of a VPN gateway (VpnGw1AZ to 5AZ) with this custom policy; its default policy has DH group 2 alone",
		IKE: []string{cnsaIKE}, ESP: []string{cnsaESP}, Lifetimes: renewal, Azure: true,
	},
	"azure-vpn-gateway-high-bandwidth": {
		Why: "a tunnel of Advanced Connectivity (VpnGw5AZ, IKEv2): 5 Gbit/s, which is 104.9 GB in 2.8 minutes: volume renews its keys, not time",
		IKE: []string{cnsaIKE}, ESP: []string{cnsaESP}, Lifetimes: renewal, Azure: true,
	},
	"azure-virtual-wan": {
		Why: "one of the two tunnels to a Virtual WAN gateway over private peering: 1 Gbit/s with private routing policies",
		IKE: []string{cnsaIKE}, ESP: []string{cnsaESP}, Lifetimes: renewal, Azure: true,
	},
	Strict: {
		Why: "an appliance of our own at the far end: the CNSA suite, with 64-bit sequence numbers where both have them",
		IKE: []string{cnsaIKE}, ESP: []string{cnsaESP + "-esn-noesn"}, Lifetimes: renewal,
	},
}

// Strict is the profile of a tunnel that names none.
const Strict = "strict"

// Profiles are the names of all, sorted.
func Profiles() []string {
	var names []string
	for n := range profiles {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Lookup returns the profile called name; "" is Strict.
func Lookup(name string) (Profile, bool) {
	if name == "" {
		name = Strict
	}
	p, ok := profiles[name]
	p.Name, p.IKE, p.ESP = name, slices.Clone(p.IKE), slices.Clone(p.ESP)
	return p, ok
}
