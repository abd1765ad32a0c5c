package config

import (
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// CheckKeys looks at the keys that ports and tunnels use. chains has the keychains that
// could be read, by name; one that is absent has been reported by whoever
// read it. A CAK of 16 octets is refused for a 256-bit suite: it is never
// padded.
func (c *Config) CheckKeys(chains map[string]*keychain.Keychain) strict.Problems {
	var ps strict.Problems
	for i, p := range c.Ports {
		chain := chains[p.Keychain]
		if chain == nil {
			continue
		}
		if len(chain.Keys) == 0 {
			ps = append(ps, c.Problem(fmt.Sprintf("ports.%d.keychain", i), fmt.Sprintf("keychain %s has PSKs of a tunnel, no CAK", p.Keychain), "a keychain whose keys have ckn and cak"))
		}
		for _, k := range chain.Keys {
			ps = append(ps, c.checkLength(i, keychain.Outline{CKN: k.CKN, Octets: k.CAK.Len(), Origin: k.Origin})...)
		}
	}
	return append(ps, c.checkPSKs(chains)...)
}

// CheckLengths is CheckKeys for what could be read of a keychain whose file is
// refused, so that the lengths of its keys are not found wrong only when the
// file is mended.
func (c *Config) CheckLengths(name string, keys []keychain.Outline) strict.Problems {
	var ps strict.Problems
	for i, p := range c.Ports {
		if p.Keychain != name {
			continue
		}
		for _, k := range keys {
			ps = append(ps, c.checkLength(i, k)...)
		}
	}
	return ps
}

// checkLength holds a key against the cipher of a port.
func (c *Config) checkLength(port int, k keychain.Outline) strict.Problems {
	p := &c.Ports[port]
	n := p.Cipher.Suite().KeyLen()
	if k.Octets >= n {
		return nil
	}
	return strict.Problems{{
		Pos:      strict.Pos{File: k.Origin.File, Line: k.Origin.Line, Column: k.Origin.Column},
		What:     fmt.Sprintf("the CAK of CKN %s has %d octets, too few for %s of port %s (%s)", k.CKN, k.Octets, p.Cipher, p.Name, c.place(port, "keychain")),
		Accepted: fmt.Sprintf("%d octets: %d hex digits; or a 128-bit cipher on the port", n, 2*n),
	}}
}

func (c *Config) place(port int, key string) string {
	return c.places[fmt.Sprintf("ports.%d.%s", port, key)].String()
}

// Device is what a port's device must show.
type Device struct {
	MTU      int  // octets
	Ethernet bool // has a MAC address of 6 octets and is not the loopback
}

// System is the machine that the configuration is for.
type System interface {
	// Device returns the network interface called name; false if there is
	// none. An error is a machine that cannot be asked.
	Device(name string) (Device, bool, error)
	// Group returns the number of the group called name; false if there is
	// none. An error is a list of groups that cannot be read.
	Group(name string) (id uint32, ok bool, err error)
}

// CheckSystem looks at the group of the control socket, which must be known,
// and at the devices of the ports: each must be there, speak Ethernet and leave
// room for MACsec in its MTU.
func (c *Config) CheckSystem(s System) strict.Problems {
	_, ps := c.ControlGroup(s)
	for i, p := range c.Ports {
		if p.Device == "" {
			continue // reported by Parse
		}
		path := fmt.Sprintf("ports.%d.device", i)
		add := func(path, what, accepted string) { ps = append(ps, c.Problem(path, what, accepted)) }
		d, ok, err := s.Device(p.Device)
		switch {
		case err != nil:
			add(path, fmt.Sprintf("device %s cannot be examined: %v", p.Device, err), "a network interface of this machine")
		case !ok:
			add(path, fmt.Sprintf("there is no device %s on this machine", p.Device), "the name of a network interface (ip link lists them)")
		case !d.Ethernet:
			add(path, fmt.Sprintf("device %s is not Ethernet", p.Device), "an Ethernet interface")
		case d.MTU < p.DeviceMTU():
			if mtu := fmt.Sprintf("ports.%d.mtu", i); c.places[mtu].Line != 0 {
				path = mtu
			}
			add(path, fmt.Sprintf("mtu %d of port %s needs an MTU of %d on device %s, which has %d", p.MTU, p.Name, p.DeviceMTU(), p.Device, d.MTU),
				fmt.Sprintf("mtu up to %d, or ip link set %s mtu %d", d.MTU-overhead, p.Device, p.DeviceMTU()))
		}
	}
	return ps
}

// CheckTunnels looks at the devices of tunnels, each of which must be there, but
// for an interface that a port makes, and leave room for what the tunnel adds to
// a packet; one of a must-secure tunnel must speak Ethernet. lack says what the
// machine is missing for a tunnel's dataplane; "" if it has it. userspace tells
// where it runs.
func (c *Config) CheckTunnels(s System, userspace func(Tunnel) bool, lack func(Tunnel) (what, accepted string)) strict.Problems {
	var ps strict.Problems
	for i, t := range c.Tunnels {
		add := func(key, what, accepted string) {
			path := fmt.Sprintf("tunnels.%d.%s", i, key)
			if c.places[path].Line == 0 { // the default
				path = fmt.Sprintf("tunnels.%d.name", i)
			}
			ps = append(ps, c.Problem(path, what, accepted))
		}
		if what, accepted := lack(t); what != "" {
			add("dataplane", fmt.Sprintf("tunnel %s: %s", t.Name, what), accepted)
		}
		if t.Device == "" {
			continue // reported by Parse
		}
		d, ok, err := s.Device(t.Device)
		over := t.overhead(userspace(t), userspace(t)) // kernel-libipsec has ESP in UDP alone
		if t.FitMTU {
			over = t.Room(userspace(t))
		}
		for _, p := range c.Ports {
			if p.Interface == t.Device {
				d, ok, err = Device{MTU: p.MTU, Ethernet: true}, true, nil
			}
		}
		switch {
		case err != nil:
			add("device", fmt.Sprintf("device %s cannot be examined: %v", t.Device, err), "a network interface of this machine")
		case !ok:
			add("device", fmt.Sprintf("there is no device %s on this machine", t.Device), "the name of a network interface (ip link lists them), or of a port's")
		case t.Must && !d.Ethernet:
			add("device", fmt.Sprintf("device %s is not Ethernet, and what is protected cannot be kept off it", t.Device), "an Ethernet interface, or secure: should")
		case t.Transport():
		case t.FitMTU && d.MTU < t.LeastMTU()+over:
			add("device", fmt.Sprintf("device %s has an MTU of %d, which leaves tunnel %s %d: at least %d are wanted", t.Device, d.MTU, t.Name, d.MTU-over, t.LeastMTU()),
				fmt.Sprintf("ip link set %s mtu %d, or more", t.Device, t.LeastMTU()+over))
		case !t.FitMTU && d.MTU < t.MTU+over:
			add("mtu", fmt.Sprintf("mtu %d of tunnel %s needs an MTU of %d on device %s, which has %d", t.MTU, t.Name, t.MTU+over, t.Device, d.MTU),
				fmt.Sprintf("mtu up to %d, or ip link set %s mtu %d", d.MTU-over, t.Device, t.MTU+over))
		}
	}
	return ps
}

// CheckDataplanes reports the ports of which lack says what the machine is
// missing for their dataplane, and what is accepted; "" if it has it.
func (c *Config) CheckDataplanes(lack func(Port) (what, accepted string)) strict.Problems {
	var ps strict.Problems
	for i, p := range c.Ports {
		what, accepted := lack(p)
		if what == "" {
			continue
		}
		path := fmt.Sprintf("ports.%d.dataplane", i)
		if c.places[path].Line == 0 { // the default
			path = fmt.Sprintf("ports.%d.name", i)
		}
		ps = append(ps, c.Problem(path, fmt.Sprintf("port %s: %s", p.Name, what), accepted))
	}
	return ps
}
