package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func (d *decoder) keychains(v strict.Value) {
	const accepted = "a mapping of names to keychains"
	m := v.Map("keychains", accepted)
	for _, name := range m.Keys() {
		v := m.Get(name)
		if !nameForm.MatchString(name) {
			d.doc.Add(m.KeyPos(name), "the name of a keychain is malformed", nameAccepted)
		}
		f := v.Fields("keychain "+name, "source", "path", "vault", "cak", "ckn", "psk", "certificate", "credential", "poll", "rotation", "endpoint", "ca", "proxy")
		k := Keychain{Name: name, Source: f.Need("source", SourceFile+", "+SourceVault).OneOf("", SourceFile, SourceVault)}
		switch k.Source {
		case SourceFile:
			k.Path = d.path(f.Need("path", "the path of a key file, mode 0600"))
			without(f, "source: file", "vault", "cak", "ckn", "psk", "certificate", "certificate", "credential", "poll", "rotation", "endpoint", "ca", "proxy")
		case SourceVault:
			k.Vault = d.vault(f)
			without(f, "source: azure-key-vault", "path")
		}
		for _, key := range f.Keys() {
			d.note("keychains."+name+"."+key, f.Get(key))
		}
		d.Keychains = append(d.Keychains, k)
	}
}

// without reports keys that do not go with the choice made.
func without(f strict.Fields, with string, keys ...string) {
	for _, key := range keys {
		f.Get(key).Wrong(key+" does not go with "+with, "leave it out")
	}
}

var (
	secretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)
	guid       = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

func (d *decoder) vault(f strict.Fields) *Vault {
	const (
		urlAccepted    = "the vault's URL as https://contoso.vault.azure.net"
		secretAccepted = "the name of a secret in the vault: 1 to 127 letters, digits and dashes"
		types          = "a mapping with type: managed-identity, workload-identity, client-certificate or client-secret"
	)
	w := &Vault{Poll: f.Get("poll").Duration(5 * time.Minute)}
	w.URL = d.text(f.Need("vault", urlAccepted), "", urlAccepted, func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Scheme == "https" && u.Hostname() != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
	})
	const (
		endpointAccepted = "an IP address, with a port or without, as 10.1.2.4 or [2001:db8::4]:443"
		proxyAccepted    = "the URL of a proxy without a password in it as http://proxy.example:3128"
	)
	secret := func(v strict.Value) string { return d.text(v, "", secretAccepted, secretName.MatchString) }
	switch {
	case f.Has("psk"):
		w.PSK = secret(f.Get("psk"))
		without(f, "psk", "cak", "ckn", "certificate")
	case f.Has("certificate"):
		w.Certificate = secret(f.Get("certificate"))
		without(f, "certificate, which the vault renews", "cak", "ckn", "rotation")
	default:
		accepted := secretAccepted
		if !f.Has("cak") && !f.Has("ckn") {
			accepted += "; or psk or certificate in place of cak and ckn, for tunnels"
		}
		w.CAK, w.CKN = secret(f.Need("cak", accepted)), secret(f.Need("ckn", secretAccepted))
	}
	w.Endpoint = d.text(f.Get("endpoint"), "", endpointAccepted, isEndpoint)
	w.CA = d.path(f.Get("ca"))
	w.Proxy = d.text(f.Get("proxy"), "", proxyAccepted, isProxy)
	if w.Proxy != "" && w.Endpoint != "" {
		f.Get("proxy").Wrong("proxy does not go with endpoint: a proxy finds the address itself", "one of them")
	}
	if w.Poll < time.Second {
		f.Get("poll").Wrong("poll "+strict.FormatDuration(w.Poll), "1s and more")
	}
	w.Credential = d.credential(f.Need("credential", types).Fields("credential", "type", "client_id", "tenant_id", "certificate", "secret_file"))
	if v := f.Get("rotation"); v.Given() {
		r := v.Fields("rotation", "every", "overlap", "hold")
		w.Rotation = &Rotation{
			Every: r.Need("every", "a duration as 720h or 30d").Duration(0), Overlap: r.Get("overlap").Duration(time.Hour), Hold: r.Get("hold").Duration(24 * time.Hour),
		}
		if w.Rotation.Every <= w.Rotation.Overlap {
			r.Get("every").Wrong("every is not longer than overlap", "a duration longer than "+strict.FormatDuration(w.Rotation.Overlap))
		}
	}
	return w
}

func isEndpoint(s string) bool {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Port() != 0
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return err == nil
}

func isProxy(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}

func (d *decoder) credential(f strict.Fields) Credential {
	kinds := []string{"managed-identity", "workload-identity", "client-certificate", "client-secret"}
	const id = "an id as 00000000-0000-0000-0000-000000000000"
	c := Credential{
		Type:     f.Need("type", strings.Join(kinds, ", ")).OneOf("", kinds...),
		ClientID: d.text(f.Get("client_id"), "", id, guid.MatchString),
		TenantID: d.text(f.Get("tenant_id"), "", id, guid.MatchString),
	}
	files := map[string]string{"client-certificate": "certificate", "client-secret": "secret_file"}
	for _, key := range []string{"certificate", "secret_file"} {
		if files[c.Type] == key {
			c.File = d.path(f.Need(key, "the path of a file, mode 0600"))
			f.Need("client_id", id)
			f.Need("tenant_id", id)
		} else if c.Type != "" {
			without(f, "type: "+c.Type, key)
		}
	}
	return c
}

// usedKeychain is the name of a keychain that the file has.
func (d *decoder) usedKeychain(v strict.Value) string {
	var names []string
	for _, k := range d.Keychains {
		names = append(names, k.Name)
	}
	accepted := "the name of a keychain under keychains"
	if len(names) > 0 {
		accepted = "a keychain of this file: " + strings.Join(names, ", ")
	}
	s, ok := v.Text(accepted)
	if ok && !slices.Contains(names, s) {
		v.Wrong("there is no keychain "+s, accepted)
		return ""
	}
	return s
}
