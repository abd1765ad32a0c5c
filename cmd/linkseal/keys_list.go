package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// keysDocument is what keys list and keys show print with --json.
type keysDocument struct {
	Keychains []keychainDocument `json:"keychains"`
	// Daemon is running, not_reachable, or unknown: it answers, but cannot
	// be understood or refuses.
	Daemon      string `json:"daemon"`
	DaemonError string `json:"daemon_error,omitempty"`
}

type keychainDocument struct {
	Name   string        `json:"name"`
	Source string        `json:"source"`
	Path   string        `json:"path,omitempty"`
	Vault  string        `json:"vault,omitempty"` // its URL
	Keys   []keyDocument `json:"keys"`
	// Refused are pairs of a vault that are not used, each with its reason.
	Refused []string `json:"refused,omitempty"`
}

type keyDocument struct {
	CKN         *keychain.CKN  `json:"ckn,omitempty"`         // of a CAK
	ID          string         `json:"id,omitempty"`          // of a PSK
	Text        bool           `json:"text,omitempty"`        // a PSK written as text
	Certificate bool           `json:"certificate,omitempty"` // in the place of a PSK
	Octets      int            `json:"octets"`
	Fingerprint string         `json:"fingerprint"` // empty of text
	NotBefore   *time.Time     `json:"not_before"`
	Expires     *time.Time     `json:"expires"`
	ExpiresHard bool           `json:"expires_hard"`
	Fallback    bool           `json:"fallback"`
	State       keychain.State `json:"state"` // by the clock: active, not_yet, expired
	// Preferred is the key that traffic is to move to, of those active.
	Preferred bool `json:"preferred"`
	// Pair and the versions of its secrets; absent of a key in a file.
	Pair       string `json:"pair,omitempty"`
	CAKVersion string `json:"cak_version,omitempty"`
	CKNVersion string `json:"ckn_version,omitempty"`
	Version    string `json:"version,omitempty"` // of a PSK
	// Ports is what the daemon does with the key; null if it was not asked.
	// Tunnels is that of a PSK.
	Ports   []keyUse `json:"ports"`
	Tunnels []pskUse `json:"tunnels,omitempty"`
	CAK     string   `json:"cak,omitempty"` // with --show-keys, as psk and psk_text
	PSK     string   `json:"psk,omitempty"`
	PSKText string   `json:"psk_text,omitempty"`
	PEM     string   `json:"pem,omitempty"` // of a certificate, with its private key
}

// keyUse is one port's use of a key.
type keyUse struct {
	Port      string `json:"port"`
	Principal bool   `json:"principal"` // it carries the traffic
	LivePeers int    `json:"live_peers"`
}

// pskUse is one tunnel's use of a PSK.
type pskUse struct {
	Tunnel string `json:"tunnel"`
	// Members is how many of its live members had their last handshake under it.
	Members int `json:"members"`
}

// use is what the daemon says, by keychain and CKN in hex, or id.
type use struct {
	daemon, err string
	byKey       map[[2]string][]keyUse
	byPSK       map[[2]string][]pskUse
}

// daemonUse asks the daemon on socket which keys are in use.
func daemonUse(ctx context.Context, socket string) use {
	s, err := status.NewClient(socket).Status(ctx)
	switch {
	case errors.Is(err, status.ErrNoDaemon):
		return use{daemon: "not_reachable", err: err.Error()}
	case err != nil:
		return use{daemon: "unknown", err: err.Error()}
	}
	u := use{daemon: "running", byKey: map[[2]string][]keyUse{}, byPSK: map[[2]string][]pskUse{}}
	for _, p := range s.Ports {
		for _, part := range p.Participants {
			live := 0
			for _, peer := range part.Peers {
				if peer.Live {
					live++
				}
			}
			at := [2]string{p.Keychain, part.CKN}
			u.byKey[at] = append(u.byKey[at], keyUse{Port: p.Name, Principal: part.Principal, LivePeers: live})
		}
	}
	for _, t := range s.Tunnels {
		for _, chain := range t.Keychains {
			each := map[string]int{}
			for _, m := range t.Members {
				ids := under(m, chain)
				slices.Sort(ids)
				for _, id := range slices.Compact(ids) {
					if id != "" {
						each[string(id)]++
					}
				}
			}
			for id, n := range each {
				at := [2]string{chain, id}
				u.byPSK[at] = append(u.byPSK[at], pskUse{Tunnel: t.Name, Members: n})
			}
		}
	}
	return u
}

// listKeys makes the document of the keys that pick chooses, the preferred
// first.
func listKeys(c *configured, pick picker, u use, show bool) keysDocument {
	d := keysDocument{Keychains: []keychainDocument{}, Daemon: u.daemon, DaemonError: u.err}
	now := time.Now()
	// Absent or unreadable, it only costs the order of keys without
	// not_before; the daemon is who reports that.
	seen, _ := file.LoadSeen(filepath.Join(c.State, file.SeenName))
	for _, conf := range c.Keychains {
		chain := c.chains[conf.Name]
		if s := seen[conf.Name]; s != nil {
			s.Mark(chain, now)
		}
		out := keychainDocument{Name: conf.Name, Source: conf.Source, Path: conf.Path, Refused: c.refused[conf.Name], Keys: []keyDocument{}}
		if conf.Vault != nil {
			out.Vault = conf.Vault.URL
		}
		sel := chain.Select(now)
		for _, k := range sel.All {
			if !pick(k.CKN, "", conf.Name) {
				continue
			}
			e := keyOf(k.CAK, k.Window, k.State)
			if show {
				e.CAK = hex.EncodeToString(k.CAK.Bytes())
			}
			e.CKN, e.ExpiresHard, e.Fallback = &k.CKN, k.ExpiresHard, k.Fallback
			e.Pair, e.CAKVersion, e.CKNVersion = k.Pinned.Pair, k.Pinned.CAK, k.Pinned.CKN
			e.Preferred = len(sel.Active) > 0 && sel.Active[0] == k.Key
			if u.byKey != nil {
				e.Ports = append([]keyUse{}, u.byKey[[2]string{conf.Name, k.CKN.String()}]...)
			}
			out.Keys = append(out.Keys, e)
		}
		psks := chain.SelectPSKs(now)
		for _, p := range psks.All {
			if !pick("", p.ID, conf.Name) {
				continue
			}
			e := pskOf(p.PSK, p.State, show)
			e.Preferred = psks.Preferred == p.PSK
			if u.byPSK != nil {
				e.Tunnels = u.byPSK[[2]string{conf.Name, p.ID}]
			}
			out.Keys = append(out.Keys, e)
		}
		if len(out.Keys) > 0 || len(out.Refused) > 0 && pick("", "", conf.Name) {
			d.Keychains = append(d.Keychains, out)
		}
	}
	return d
}

// keyOf is what CAKs and PSKs have alike.
func keyOf(k *secret.Key, w keychain.Window, s keychain.State) keyDocument {
	return keyDocument{Octets: k.Len(), Fingerprint: k.Fingerprint(), State: s, NotBefore: status.Given(w.NotBefore), Expires: status.Given(w.Expires)}
}

func pskOf(p *keychain.PSK, s keychain.State, show bool) keyDocument {
	e := keyOf(p.Secret, p.Window, s)
	e.Certificate = p.Certificate
	e.ID, e.Text, e.ExpiresHard, e.Fallback, e.Version, e.Fingerprint = p.ID, p.Text, p.ExpiresHard, p.Fallback, p.Version, p.Fingerprint()
	switch {
	case show && p.Certificate:
		e.PEM = string(p.Secret.Bytes())
	case show && p.Text:
		e.PSKText = string(p.Secret.Bytes())
	case show:
		e.PSK = hex.EncodeToString(p.Secret.Bytes())
	}
	return e
}

// shown are the octets, or the text.
func (k *keyDocument) shown() string { return k.CAK + k.PSK + k.PSKText + k.PEM }

// what is the key without its octets.
func (k *keyDocument) what() string {
	switch {
	case k.Text:
		return "text"
	case k.Certificate:
		return "certificate, " + k.Fingerprint
	}
	return fmt.Sprintf("%d bit, %s", k.Octets*8, k.Fingerprint)
}

// write prints a table a keychain.
func (d keysDocument) write(w io.Writer) error {
	for i, chain := range d.Keychains {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "keychain %s (%s)\n", chain.Name, chain.Path+chain.Vault)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		head := "CKN"
		if slices.ContainsFunc(chain.Keys, func(k keyDocument) bool { return k.ID != "" }) {
			head = "ID"
		}
		head = "  " + head + "\tKEY\tFROM\tUNTIL\tSTATE\tDAEMON"
		shown := slices.ContainsFunc(chain.Keys, func(k keyDocument) bool { return k.shown() != "" })
		if shown {
			head += "\tOCTETS"
		}
		fmt.Fprintln(t, head)
		for _, k := range chain.Keys {
			name := plain(k.ID)
			if k.CKN != nil {
				name = k.CKN.String()
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s", name, k.what(),
				instant(k.NotBefore), instant(k.Expires), k.states(), k.uses(d))
			if shown {
				fmt.Fprintf(t, "\t%s", plain(k.shown()))
			}
			fmt.Fprintln(t)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, r := range chain.Refused {
			fmt.Fprintf(w, "  refused: %s\n", r)
		}
	}
	if d.DaemonError != "" && d.Daemon != "not_reachable" {
		fmt.Fprintf(w, "\nthe daemon could not be asked: %s\n", d.DaemonError)
	}
	return nil
}

// plain is s as it is, or quoted if a terminal would not show it so.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func instant(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (k keyDocument) states() string {
	s := k.State.String()
	if k.Preferred {
		s += ", preferred"
	}
	if k.Fallback {
		s += ", fallback"
	}
	return s
}

func (k keyDocument) uses(d keysDocument) string {
	switch d.Daemon {
	case "not_reachable":
		return "daemon not reachable"
	case "unknown":
		return "unknown"
	}
	var out []string
	for _, u := range k.Ports {
		s := "stands by on " + u.Port
		if u.Principal {
			s = "carries " + u.Port
		}
		out = append(out, fmt.Sprintf("%s, %s live", s, count(u.LivePeers, "peer")))
	}
	for _, u := range k.Tunnels {
		out = append(out, fmt.Sprintf("carries %s, %s live", u.Tunnel, count(u.Members, "member")))
	}
	switch {
	case len(out) > 0:
	case k.CKN == nil:
		return "not in use"
	default:
		return "no participant"
	}
	return strings.Join(out, "; ")
}
