package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

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
	CKN         *keychain.CKN  `json:"ckn,omitempty"` // of a CAK
	ID          string         `json:"id,omitempty"`  // of a PSK
	Octets      int            `json:"octets"`
	Fingerprint string         `json:"fingerprint"`
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
	// Ports is what the daemon does with the key; null if it was not asked.
	Ports []keyUse `json:"ports"`
	CAK   string   `json:"cak,omitempty"` // with --show-keys, as psk
	PSK   string   `json:"psk,omitempty"`
}

// keyUse is one port's use of a key.
type keyUse struct {
	Port      string `json:"port"`
	Principal bool   `json:"principal"` // it carries the traffic
	LivePeers int    `json:"live_peers"`
}

// use is what the daemon says, by keychain and CKN in hex.
type use struct {
	daemon, err string
	byKey       map[[2]string][]keyUse
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
	u := use{daemon: "running", byKey: map[[2]string][]keyUse{}}
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
	return u
}

// listKeys makes the document of the keys that pick chooses, the preferred
// first.
func listKeys(c *configured, pick func(keychain.CKN, string) bool, u use, show bool) keysDocument {
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
			if !pick(k.CKN, conf.Name) {
				continue
			}
			e := keyOf(k.CAK, k.Window, k.State, show)
			e.CKN, e.CAK, e.ExpiresHard, e.Fallback = &k.CKN, e.PSK, k.ExpiresHard, k.Fallback
			e.PSK, e.Pair, e.CAKVersion, e.CKNVersion = "", k.Pinned.Pair, k.Pinned.CAK, k.Pinned.CKN
			e.Preferred = len(sel.Active) > 0 && sel.Active[0] == k.Key
			if u.byKey != nil {
				e.Ports = append([]keyUse{}, u.byKey[[2]string{conf.Name, k.CKN.String()}]...)
			}
			out.Keys = append(out.Keys, e)
		}
		for _, p := range chain.PSKs {
			if pick("", conf.Name) {
				e := keyOf(p.Secret, p.Window, p.State(now), show)
				e.ID, e.ExpiresHard, e.Fallback = p.ID, p.ExpiresHard, p.Fallback
				out.Keys = append(out.Keys, e)
			}
		}
		if len(out.Keys) > 0 || len(out.Refused) > 0 && pick("", conf.Name) {
			d.Keychains = append(d.Keychains, out)
		}
	}
	return d
}

// keyOf is what CAKs and PSKs have alike; the octets, if shown, in PSK.
func keyOf(k *secret.Key, w keychain.Window, s keychain.State, show bool) keyDocument {
	e := keyDocument{Octets: k.Len(), Fingerprint: k.Fingerprint(), State: s}
	if !w.NotBefore.IsZero() {
		e.NotBefore = &w.NotBefore
	}
	if !w.Expires.IsZero() {
		e.Expires = &w.Expires
	}
	if show {
		e.PSK = hex.EncodeToString(k.Bytes())
	}
	return e
}

// write prints a table a keychain.
func (d keysDocument) write(w io.Writer) error {
	for i, chain := range d.Keychains {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "keychain %s (%s)\n", chain.Name, chain.Path+chain.Vault)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		head := "  CKN\tKEY\tFROM\tUNTIL\tSTATE\tDAEMON"
		shown := slices.ContainsFunc(chain.Keys, func(k keyDocument) bool { return k.CAK+k.PSK != "" })
		if shown {
			head += "\tOCTETS"
		}
		fmt.Fprintln(t, head)
		for _, k := range chain.Keys {
			name := k.ID
			if k.CKN != nil {
				name = k.CKN.String()
			}
			fmt.Fprintf(t, "  %s\t%d bit, %s\t%s\t%s\t%s\t%s", name, k.Octets*8, k.Fingerprint,
				instant(k.NotBefore), instant(k.Expires), k.states(), k.uses(d))
			if shown {
				fmt.Fprintf(t, "\t%s", k.CAK+k.PSK)
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
	if len(out) == 0 {
		return "no participant"
	}
	return strings.Join(out, "; ")
}
