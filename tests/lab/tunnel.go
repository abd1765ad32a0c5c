package lab

import (
	"fmt"
	"os"
	"strings"
)

// Tunnel is what differs between the tunnels of a lab. Both ends have the same.
// The n-th is between the n-th sites of two appliances, which it protects.
type Tunnel struct {
	Name      string // default hub1, hub2, …
	Type      string // default wireguard
	Dataplane string // default auto
	Count     int    // default 1
	MTU, MSS  int    // default 1400, and not clamped
	Derived   bool   // neither mtu nor mss is given
	DSCP      bool   // dscp: copy
	// Probe is its interval, as "100ms", with which an end asks the other's inner
	// address; empty: there is none.
	Probe string
	// Of gives it another number than its place in the list.
	Of int
}

// Types of a Tunnel.
const (
	WireGuard = "wireguard"
	IPsec     = "ipsec"
)

// ProbesLost is how many probes in a row have a member of a Tunnel be not live.
const ProbesLost = 3

// Port is the UDP port of the tunnel's member 0: each tunnel has those of up to
// eight members, and as many for a change of PSK.
func (t Tunnel) Port() uint16 { return uint16(firstPort + 16*t.Of) }

const firstPort = 10000

// Interface is that of member n.
func (t Tunnel) Interface(n int) string {
	if n == 0 {
		return fmt.Sprintf("tun%d", t.Of)
	}
	return fmt.Sprintf("tun%d-%d", t.Of, n)
}

func (t Tunnel) defaults(i int) Tunnel {
	if t.Of == 0 {
		t.Of = i
	}
	if t.Name == "" {
		t.Name = fmt.Sprintf("hub%d", t.Of+1)
	}
	if t.Type == "" {
		t.Type = WireGuard
	}
	if t.Dataplane == "" {
		t.Dataplane = "auto"
	}
	if t.MTU == 0 {
		t.MTU = 1400
	}
	if t.Count == 0 {
		t.Count = 1
	}
	return t
}

// WriteTunnels writes the configuration of an appliance that has these tunnels
// to another, all with the keychain KeysFile. A reload finds the one before or
// this one, whole.
func (a *Appliance) WriteTunnels(to *Appliance, tunnels ...Tunnel) error {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %s\ncontrol: {socket: %s}\nstate: %s\nsealing: {with: file}\n", a.Name, a.Socket(), a.State())
	if len(tunnels) > 0 {
		fmt.Fprintf(&b, "keychains:\n  psks: {source: file, path: %s}\ntunnels:\n", a.KeysFile())
	}
	for i, t := range tunnels {
		a.write(&b, to, t.defaults(i))
	}
	return replace(a.ConfigFile(), []byte(b.String()), 0o644)
}

func (a *Appliance) write(b *strings.Builder, to *Appliance, t Tunnel) {
	fmt.Fprintf(b, "  - name: %s\n", t.Name)
	line := func(format string, args ...any) { fmt.Fprintf(b, "    "+format+"\n", args...) }
	line("type: %s", t.Type)
	line("device: %s", Device)
	line("interface: %s", t.Interface(0))
	line("dataplane: %s", t.Dataplane)
	line("local: %s", a.Under)
	line("remote: %s", to.Under)
	line("count: %d", t.Count)
	line("protect: [%s]", to.site(t.Of))
	line("addresses: [%s/30]", a.Inner(t.Of))
	if !t.Derived {
		line("mtu: %d", t.MTU)
		line("mss: %d", t.MSS)
	}
	if t.DSCP {
		line("dscp: copy")
	}
	if t.Probe != "" {
		line("probe: {address: %s, interval: %s, lost: %d}", to.Inner(t.Of), t.Probe, ProbesLost)
	}
	if t.Type == IPsec {
		line("ipsec: {profile: strict, auth: psk, keychain: psks, local_id: %s, remote_id: %s}", a.Name, to.Name)
		return
	}
	line("wireguard: {port: %d, private_key: %s, peer_public_key: %q, keychain: psks}", t.Port(), a.PrivateKey(), to.public)
}

// replace writes a file in one rename.
func replace(path string, text []byte, mode os.FileMode) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, text, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
