package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// YAML writes the configuration with every default filled in. Parse of it is
// the same configuration.
func (c *Config) YAML() string {
	w := &writer{}
	w.line(0, "version: 1")
	w.text(0, "name", c.Name)
	w.line(0, "control:")
	w.text(1, "socket", c.Socket)
	w.text(1, "group", c.Group)
	if c.Metrics.IsValid() {
		w.line(0, "metrics: {listen: %s}", quote(c.Metrics.String()))
	}
	w.line(0, "state: %s", quote(c.State))
	if s := c.Sealing; s.With != "" {
		w.line(0, "sealing:")
		w.line(1, "with: %s", s.With)
		w.text(1, "path", s.Path)
		if s.PCRs != nil {
			w.line(1, "pcrs: %s", list(s.PCRs, strconv.Itoa))
		}
	}
	if len(c.Keychains) > 0 {
		w.line(0, "keychains:")
	}
	for _, k := range c.Keychains {
		w.keychain(k)
	}
	if len(c.Ports) > 0 {
		w.line(0, "ports:")
	}
	for _, p := range c.Ports {
		w.port(p)
	}
	if len(c.Tunnels) > 0 {
		w.line(0, "tunnels:")
	}
	for _, t := range c.Tunnels {
		w.tunnel(t)
	}
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) line(level int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", level))
	fmt.Fprintf(w, format+"\n", args...)
}

// text writes a key unless its value is empty.
func (w *writer) text(level int, key, value string) {
	if value != "" {
		w.line(level, "%s: %s", key, quote(value))
	}
}

// quote is a plain scalar where every reader takes it for the string that it
// is, else a double-quoted one: JSON's form is YAML's.
func quote(s string) string {
	plain := s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-", r)
	})
	if plain && strings.ContainsAny(s, "ghijklmopqrstuvwz/") && s != "null" && s != "true" && s != "false" {
		return s
	}
	b := &strings.Builder{}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""` // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func list[T any](items []T, f func(T) string) string {
	out := make([]string, len(items))
	for i, e := range items {
		out[i] = f(e)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func secure(must bool) string {
	if must {
		return "must"
	}
	return "should"
}

func prefix(p netip.Prefix) string { return quote(p.String()) }

func (w *writer) port(p Port) {
	w.line(1, "- name: %s", quote(p.Name))
	w.line(2, "device: %s", quote(p.Device))
	w.line(2, "interface: %s", quote(p.Interface))
	w.line(2, "dataplane: %s", p.Dataplane)
	w.line(2, "secure: %s", secure(p.Must))
	w.line(2, "cipher: %s", p.Cipher)
	w.line(2, "encrypt: %t", p.Encrypt)
	w.line(2, "send_sci: %t", p.SendSCI)
	if p.ReplayWindow != nil {
		w.line(2, "replay_window: %d", *p.ReplayWindow)
	}
	w.line(2, "confidentiality_offset: %d", p.ConfidentialityOffset)
	w.line(2, "mtu: %d", p.MTU)
	if p.Addresses != nil {
		w.line(2, "addresses: %s", list(p.Addresses, prefix))
	}
	w.line(2, "keychain: %s", quote(p.Keychain))
	w.line(2, "allow: %s", list(p.Allow, quote))
	m, show := p.MKA, strict.FormatDuration
	w.line(2, "mka: {priority: %d, hello: %s, life: %s, rekey: %s, destination: %q, ethertype: 0x%04x}",
		m.Priority, show(m.Hello), show(m.Life), show(m.Rekey), m.Destination, m.EtherType)
	w.tags(p.Tags)
}

func (w *writer) keychain(k Keychain) {
	w.line(1, "%s:", quote(k.Name))
	w.line(2, "source: %s", k.Source)
	w.text(2, "path", k.Path)
	v := k.Vault
	if v == nil {
		return
	}
	w.text(2, "vault", v.URL)
	w.text(2, "endpoint", v.Endpoint)
	w.text(2, "ca", v.CA)
	w.text(2, "proxy", v.Proxy)
	w.text(2, "cak", v.CAK)
	w.text(2, "ckn", v.CKN)
	w.text(2, "psk", v.PSK)
	w.text(2, "certificate", v.Certificate)
	w.line(2, "credential:")
	w.text(3, "type", v.Credential.Type)
	w.text(3, "client_id", v.Credential.ClientID)
	w.text(3, "tenant_id", v.Credential.TenantID)
	switch v.Credential.Type {
	case "client-certificate":
		w.text(3, "certificate", v.Credential.File)
	case "client-secret":
		w.text(3, "secret_file", v.Credential.File)
	}
	show := strict.FormatDuration
	w.line(2, "poll: %s", show(v.Poll))
	if r := v.Rotation; r != nil {
		w.line(2, "rotation: {every: %s, overlap: %s, hold: %s}", show(r.Every), show(r.Overlap), show(r.Hold))
	}
}
