package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/linux/netns"
)

// Underlay gives the appliances addresses on their ports, that many sites, each
// with its host on the loopback, and a key of WireGuard each. Traffic has its
// ends at the first sites.
func (l *Lab) Underlay(sites int) error {
	for i, a := range l.Appliances {
		a.number, a.Under = i, UnderlayAddress(i)
		a.Address = netip.PrefixFrom(a.Site(0), 32)
		err := a.NS.Do(func() error {
			errs := []error{addAddress(Device, netip.PrefixFrom(a.Under, 24))}
			for n := range sites {
				errs = append(errs, addAddress("lo", netip.PrefixFrom(a.Site(n), 32)))
			}
			return errors.Join(errs...)
		})
		if err != nil {
			return fmt.Errorf("underlay of %s: %w", a.Name, err)
		}
		pair, _, err := identity.Open(a.PrivateKey(), identity.Sealers{})
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

// Join puts a cable between the appliance and another namespace: device here,
// peer there, both down.
func Join(a *Appliance, device string, ns *netns.NS, peer string) error {
	return a.NS.Do(func() error { return veth(device, nil, 1500, peer, nil, ns) })
}

// Sysctl sets one, by its path below /proc/sys, in the calling thread's
// namespace.
func Sysctl(path, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0o644)
}
