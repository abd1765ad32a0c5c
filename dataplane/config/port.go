package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// DefaultPort is a port of which only the needed keys are given.
func DefaultPort() Port {
	return Port{
		Dataplane: Auto, Must: true, Cipher: Cipher(sa.GCMAES256.String()), Encrypt: true, SendSCI: true, MTU: 1500,
		MKA: MKA{Priority: 16, Hello: 2 * time.Second, Life: 6 * time.Second, Destination: MAC{0x01, 0x80, 0xc2, 0, 0, 0x03}, EtherType: 0x888e},
	}
}

const (
	// boundedHello is the bounded hello time (802.1X-2020 9.5): a hello as
	// short is delay protection.
	boundedHello = 500 * time.Millisecond
	maxHello     = time.Minute
	maxLife      = 10 * time.Minute
	// maxXPNWindow is the kernel's limit of a replay window with XPN.
	maxXPNWindow = 1<<30 - 1
	minMTU       = 68
	minMTU6      = 1280
	maxMTU       = 65535 - overhead
	// overhead is what MACsec adds to a frame: SecTAG and ICV.
	overhead = 32
)

// DeviceMTU is the MTU, in octets, that the port's device needs at the least.
func (p Port) DeviceMTU() int { return p.MTU + overhead }

func (d *decoder) port(i int, v strict.Value) {
	f := v.Fields("port "+itoa(i+1), "name", "device", "interface", "dataplane", "secure", "cipher", "encrypt", "send_sci",
		"replay_window", "confidentiality_offset", "mtu", "addresses", "keychain", "allow", "mka", "tags")
	p := DefaultPort()
	p.Name = d.name(f.Need("name", nameAccepted))
	p.Device = d.device(f.Need("device", deviceAccepted))
	p.Interface = d.device(f.Need("interface", deviceAccepted))
	d.unique("name", p.Name, f.Get("name"))
	d.unique("device", p.Device, f.Get("device"))
	d.unique("interface", p.Interface, f.Get("interface"))
	if p.Interface != "" && p.Interface == p.Device {
		f.Get("interface").Wrong("interface and device are both "+p.Device, "another name than the device's: the MACsec device is made on it")
	}
	p.Dataplane = f.Get("dataplane").OneOf(p.Dataplane, Auto, Kernel, Userspace)
	p.Must = f.Get("secure").OneOf("must", "must", "should") == "must"
	p.Cipher = Cipher(f.Get("cipher").OneOf(string(p.Cipher), ciphers()...))
	p.Encrypt = f.Get("encrypt").Bool(p.Encrypt)
	p.SendSCI = f.Get("send_sci").Bool(p.SendSCI)
	p.ReplayWindow = window(f.Get("replay_window"), p.Cipher)
	p.ConfidentialityOffset = offset(f.Get("confidentiality_offset"), p)
	p.Addresses = d.prefixes(f.Get("addresses"), false)
	p.MTU = int(f.Get("mtu").Int(int64(p.MTU), minMTU, maxMTU))
	for _, a := range p.Addresses {
		if a.Addr().Is6() && p.MTU < minMTU6 {
			f.Get("mtu").Wrong(fmt.Sprintf("mtu %d is too small for IPv6 address %s", p.MTU, a), fmt.Sprintf("%d to %d", minMTU6, maxMTU))
			break
		}
	}
	p.Keychain = d.portKeychain(f.Need("keychain", "the name of a keychain under keychains"))
	p.Allow = d.allow(f.Get("allow"))
	p.MKA = d.mka(f.Get("mka"), p)
	p.Tags = d.tags(f.Get("tags"))
	for _, key := range f.Keys() {
		d.note(fmt.Sprintf("ports.%d.%s", len(d.Ports), key), f.Get(key))
	}
	d.Ports = append(d.Ports, p)
}

func ciphers() (names []string) {
	for _, s := range sa.Suites() {
		names = append(names, s.String())
	}
	return names
}

func window(v strict.Value, c Cipher) *uint32 {
	if !v.Given() {
		return nil
	}
	most := int64(1<<32 - 1)
	if c.Suite().XPN() {
		most = maxXPNWindow
	}
	n := v.Int(-1, 0, most)
	if n < 0 {
		return nil
	}
	w := uint32(n)
	return &w
}

// offset refuses what no SecY of this release can do: XPN suites are run
// without offset, and only user space has one.
func offset(v strict.Value, p Port) int {
	o := v.OneOf("0", "0", "30", "50")
	switch {
	case o == "0":
		return 0
	case p.Cipher.Suite().XPN():
		v.Wrong(fmt.Sprintf("confidentiality_offset %s with the XPN suite %s", o, p.Cipher), "0, or a cipher without XPN")
	case p.Dataplane != Userspace:
		v.Wrong(fmt.Sprintf("confidentiality_offset %s with dataplane %s: the kernel has no offset", o, p.Dataplane), "0, or dataplane: userspace")
	}
	if o == "30" {
		return 30
	}
	return 50
}

// allow is a list of Protocols, in the order of the file.
func (d *decoder) allow(v strict.Value) (out []string) {
	one := strings.Join(Protocols(), ", ")
	for _, e := range v.List("protocol", "a list of "+one) {
		name := e.OneOf("", Protocols()...)
		if slices.Contains(out, name) {
			e.Wrong(name+" is in the list twice", "each once")
			continue
		}
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

func (d *decoder) mka(v strict.Value, p Port) MKA {
	m := p.MKA
	f := v.Fields("mka", "priority", "hello", "life", "rekey", "destination", "ethertype")
	m.Priority = uint8(f.Get("priority").Int(int64(m.Priority), 0, 255))
	hello, life, rekey := f.Get("hello"), f.Get("life"), f.Get("rekey")
	m.Hello, m.Life, m.Rekey = hello.Duration(m.Hello), life.Duration(m.Life), rekey.Duration(m.Rekey)
	show := strict.FormatDuration
	between := fmt.Sprintf("%s to %s", show(boundedHello), show(maxHello))
	if p.Dataplane != Userspace {
		between = fmt.Sprintf("more than %s, up to %s", show(boundedHello), show(maxHello))
	}
	switch {
	case m.Hello <= boundedHello && p.Dataplane != Userspace:
		hello.Wrong(fmt.Sprintf("hello %s is delay protection, which dataplane %s has not", show(m.Hello), p.Dataplane), between)
	case m.Hello < boundedHello || m.Hello > maxHello:
		hello.Wrong("hello "+show(m.Hello), between)
	case m.Life < 3*m.Hello:
		at := life
		if !life.Given() {
			at = hello
		}
		at.Wrong(fmt.Sprintf("life %s is under three hellos of %s", show(m.Life), show(m.Hello)), fmt.Sprintf("life of %s to %s", show(3*m.Hello), show(maxLife)))
	case m.Life > maxLife:
		life.Wrong("life "+show(m.Life), fmt.Sprintf("life of %s to %s", show(3*m.Hello), show(maxLife)))
	}
	if m.Rekey != 0 && m.Rekey < m.Life {
		// A member that misses a SAK is waited for that long.
		rekey.Wrong(fmt.Sprintf("rekey %s is under the life of %s", show(m.Rekey), show(m.Life)), "0s (never for its age), or "+show(m.Life)+" and more")
	}
	m.Destination = d.mac(f.Get("destination"), m.Destination)
	m.EtherType = d.etherType(f.Get("ethertype"), m.EtherType)
	return m
}
