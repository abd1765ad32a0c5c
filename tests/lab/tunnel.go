package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/keymgmt/identity"
)

// Tunnel is what differs between the tunnels of a lab. Both ends have the same.
// The n-th is between the n-th sites of two appliances, which it protects.
type Tunnel struct {
	Name      string // default hub1
	Type      string // default wireguard
	Dataplane string // default auto
	Count     int    // default 1
	MTU, MSS  int    // default 1400, and not clamped
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

// Port is the UDP port of the tunnel's member 0: each tunnel has those of up to
// eight members, and as many for a change of PSK.
func (t Tunnel) Port() uint16 { return uint16(10000 + 16*t.Of) }

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

// Underlay gives the appliances addresses on their ports, one address of the
// first site on the loopback, which Traffic has its ends at, and a key of
// WireGuard each.
func (l *Lab) Underlay() error {
	for i, a := range l.Appliances {
		a.number, a.Under = i, UnderlayAddress(i)
		a.Address = netip.PrefixFrom(a.Site(0), 32)
		err := a.NS.Do(func() error {
			return errors.Join(addAddress(Device, netip.PrefixFrom(a.Under, 24)), addAddress("lo", a.Address))
		})
		if err != nil {
			return fmt.Errorf("underlay of %s: %w", a.Name, err)
		}
		pair, _, err := identity.Open(a.PrivateKey(), nil)
		if err != nil {
			return err
		}
		a.public = pair.Public.String()
		a.hides("private key", pair.Private.Bytes())
		pair.Private.Zero()
	}
	return nil
}

// UnderlayAddress is appliance i's on its port.
func UnderlayAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}) }

func addAddress(device string, p netip.Prefix) error {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(p.String())
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

// PrivateKey is the file of the appliance's key of WireGuard.
func (a *Appliance) PrivateKey() string { return filepath.Join(a.Dir, "wg.key") }

// PublicKey is it, in base64.
func (a *Appliance) PublicKey() string { return a.public }

// site is the appliance's n-th network, which its tunnel n leads to.
func (a *Appliance) site(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64*a.number + n>>8), byte(n), 0}), 24)
}

// Site is the host .1 in the appliance's n-th network.
func (a *Appliance) Site(n int) netip.Addr { return a.site(n).Addr().Next() }

// Inner is the appliance's address in its tunnel n.
func (a *Appliance) Inner(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{169, 254, byte(n >> 6), byte(n&63*4 + 1 + a.number)})
}

// protected are the networks of which nothing may be in clear on the underlay.
var protected = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16")}

// WriteTunnels writes the configuration of an appliance that has these tunnels
// to another, all with the keychain KeysFile.
func (a *Appliance) WriteTunnels(to *Appliance, tunnels ...Tunnel) error {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %s\ncontrol: {socket: %s}\nstate: %s\nsealing: {with: file}\n", a.Name, a.Socket(), a.State())
	if len(tunnels) > 0 {
		fmt.Fprintf(&b, "keychains:\n  psks: {source: file, path: %s}\ntunnels:\n", a.KeysFile())
	}
	for i, t := range tunnels {
		t = t.defaults(i)
		line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
		fmt.Fprintf(&b, "  - name: %s\n", t.Name)
		line("type: %s", t.Type)
		line("device: %s", Device)
		line("interface: %s", t.Interface(0))
		line("dataplane: %s", t.Dataplane)
		line("local: %s", a.Under)
		line("remote: %s", to.Under)
		line("count: %d", t.Count)
		line("protect: [%s]", to.site(t.Of))
		line("addresses: [%s/30]", a.Inner(t.Of))
		line("mtu: %d", t.MTU)
		line("mss: %d", t.MSS)
		if t.DSCP {
			line("dscp: copy")
		}
		if t.Probe != "" {
			line("probe: {address: %s, interval: %s, lost: %d}", to.Inner(t.Of), t.Probe, ProbesLost)
		}
		switch t.Type {
		case IPsec:
			line("ipsec: {profile: strict, auth: psk, keychain: psks, local_id: %s, remote_id: %s}", a.Name, to.Name)
		default:
			line("wireguard: {port: %d, private_key: %s, peer_public_key: %q, keychain: psks}", t.Port(), a.PrivateKey(), to.public)
		}
	}
	// A reload that looks meanwhile finds the one or the other.
	tmp := a.ConfigFile() + ".new"
	if err := os.WriteFile(tmp, []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, a.ConfigFile())
}

// ProbesLost is how many probes in a row have a member of a Tunnel be not live.
const ProbesLost = 3
