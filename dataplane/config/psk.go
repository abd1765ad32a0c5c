package config

import (
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// maxAzurePSK is the longest PSK that an Azure VPN gateway takes, in characters
// (VPN Gateway FAQ, "How does my VPN tunnel get authenticated?").
const maxAzurePSK = 128

// certificateKeychain is the name of a keychain of a vault's certificate.
func (d *decoder) certificateKeychain(v strict.Value) string {
	name := d.usedKeychain(v)
	d.note(fmt.Sprintf("tunnels.%d.keychain", len(d.Tunnels)), v)
	if k := d.Keychain(name); k != nil && (k.Vault == nil || k.Vault.Certificate == "") {
		v.Wrong(fmt.Sprintf("keychain %s has no certificate", name), "a keychain of source azure-key-vault with certificate; or auth: psk; or certificate and private_key, paths")
	}
	return name
}

// PSKs tells whether the keychain is one of PSKs, which tunnels use: its vault's
// secret says so, else a tunnel that uses it.
func (c *Config) PSKs(k Keychain) bool {
	if k.Vault != nil {
		return k.Vault.PSK != ""
	}
	for _, t := range c.Tunnels {
		for _, name := range t.Keychains() {
			if name == k.Name {
				return true
			}
		}
	}
	return false
}

// portKeychain is the name of a keychain of CAKs.
func (d *decoder) portKeychain(v strict.Value) string {
	name := d.usedKeychain(v)
	switch k := d.Keychain(name); {
	case k == nil || k.Vault == nil:
	case k.Vault.PSK != "":
		v.Wrong(fmt.Sprintf("keychain %s has PSKs of tunnels, no CAK", name), "a keychain with cak and ckn in place of psk")
	case k.Vault.Certificate != "":
		v.Wrong(fmt.Sprintf("keychain %s has a certificate of tunnels, no CAK", name), "a keychain with cak and ckn in place of certificate")
	}
	return d.kind(v, name, "port")
}

// tunnelKeychain is the name of a keychain of PSKs, which path of the tunnel that
// is being read names.
func (d *decoder) tunnelKeychain(v strict.Value, path string) string {
	name := d.usedKeychain(v)
	d.note(fmt.Sprintf("tunnels.%d.%s", len(d.Tunnels), path), v)
	switch k := d.Keychain(name); {
	case k == nil || k.Vault == nil:
	case k.Vault.CAK+k.Vault.CKN != "":
		v.Wrong(fmt.Sprintf("keychain %s has CAKs of ports, no PSK", name), "a keychain with psk in place of cak and ckn")
	case k.Vault.Certificate != "":
		v.Wrong(fmt.Sprintf("keychain %s has a certificate, no PSK", name), "a keychain with psk in place of certificate, or auth: certificate of ipsec")
	}
	return d.kind(v, name, "tunnel")
}

// kind reports a keychain of a file that both a port and a tunnel use.
func (d *decoder) kind(v strict.Value, name, user string) string {
	k := d.Keychain(name)
	if k == nil || k.Vault != nil {
		return name
	}
	if d.kinds == nil {
		d.kinds = map[string]string{}
	}
	switch other := d.kinds[name]; other {
	case "", user:
		d.kinds[name] = user
	default:
		v.Wrong(fmt.Sprintf("keychain %s is a %s's already: it has CAKs or PSKs, never both", name, other), "a keychain of its own for the "+user)
	}
	return name
}

// use is one place where a tunnel names a keychain.
type use struct {
	name, path string
	binary     bool // 32 octets are wanted, no text
	azure      bool // text is wanted, as Azure's gateways take it
}

func (t Tunnel) uses() (all []use) {
	add := func(u use) {
		if u.name != "" {
			all = append(all, u)
		}
	}
	switch {
	case t.WireGuard != nil:
		add(use{name: t.WireGuard.Keychain, path: "keychain", binary: true})
		for i, p := range t.WireGuard.Peers {
			add(use{name: p.Keychain, path: peerPath(i), binary: true})
		}
	case t.IPsec != nil:
		if t.IPsec.Auth == AuthCertificate {
			break // a vault's, which says what it has
		}
		add(use{name: t.IPsec.Keychain, path: "keychain", azure: strings.HasPrefix(t.IPsec.Profile, "azure-")})
	}
	return all
}

func peerPath(i int) string { return fmt.Sprintf("peers.%d.keychain", i) }

// checkPSKs is CheckKeys of the keychains that tunnels use.
func (c *Config) checkPSKs(chains map[string]*keychain.Keychain) strict.Problems {
	var ps strict.Problems
	for i, t := range c.Tunnels {
		for _, u := range t.uses() {
			chain := chains[u.name]
			if chain == nil {
				continue
			}
			path := fmt.Sprintf("tunnels.%d.%s", i, u.path)
			if len(chain.PSKs) == 0 {
				ps = append(ps, c.Problem(path, fmt.Sprintf("keychain %s has CAKs of ports, no PSK", u.name), "a keychain whose keys have id and psk, or id and psk_text"))
			}
			for j := range chain.PSKs {
				p := &chain.PSKs[j]
				what, accepted := u.wrong(t, p)
				if what == "" {
					continue
				}
				what = fmt.Sprintf("PSK %s of keychain %s %s", p.ID, u.name, what)
				if at := p.Origin; at.Line > 0 {
					what += fmt.Sprintf(" (%s)", c.places[path])
					ps = append(ps, &strict.Problem{Pos: strict.Pos{File: at.File, Line: at.Line, Column: at.Column}, What: what, Accepted: accepted})
					continue
				}
				ps = append(ps, c.Problem(path, what, accepted))
			}
		}
	}
	return ps
}

// TakesPSK says why a PSK that is new, and text or not, is of no use in the
// keychain called name; what is "" if it is of use.
func (c *Config) TakesPSK(name string, text bool) (what, accepted string) {
	p := keychain.PSK{Text: text, Secret: secret.New([]byte(strings.Repeat("a", 32)))}
	defer p.Secret.Zero()
	for _, t := range c.Tunnels {
		for _, u := range t.uses() {
			if what, accepted = u.wrong(t, &p); u.name == name && what != "" {
				return what, accepted
			}
		}
	}
	return "", ""
}

// wrong says why t cannot use p; "" if it can. It tells nothing of what p is.
func (u use) wrong(t Tunnel, p *keychain.PSK) (what, accepted string) {
	switch {
	case u.binary && (p.Text || p.Secret.Len() != 32):
		return "is text, and WireGuard of tunnel " + t.Name + " takes octets alone", "32 octets: psk with 64 hex digits"
	case u.azure && !p.Text:
		return fmt.Sprintf("is octets in hex, and an Azure gateway (profile %s of tunnel %s) takes text alone", t.IPsec.Profile, t.Name), "psk_text: " + azureAccepted
	case u.azure && !azureTakes(p.Secret.Bytes()):
		return fmt.Sprintf("has what an Azure gateway (profile %s of tunnel %s) does not take", t.IPsec.Profile, t.Name), azureAccepted
	}
	return "", ""
}

const azureAccepted = "1 to 128 printable characters of ASCII, no space, - or ~"

func azureTakes(text []byte) bool {
	for _, b := range text {
		if b <= ' ' || b >= '~' || b == '-' {
			return false
		}
	}
	return len(text) <= maxAzurePSK
}
