package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

func (s *State) port(port *status.Port) Section {
	p := section(fmt.Sprintf("Link %s: %s on %s", port.Name, port.Interface, port.Device))
	headline(p, port.State, port.SecuredSince, port.Passing)
	if port.State == status.Secured {
		p.add("", "%s, %s", port.Cipher, peers(port))
	} else {
		p.add("why", "%s", orUnknown(port.UnsecuredReason))
		for _, n := range s.nextOf(port) {
			p.add("next", "%s", n)
		}
	}
	if port.Problem != "" && port.Problem != port.UnsecuredReason {
		p.add("problem", "%s", port.Problem)
	}
	if port.KeysError != "" {
		p.add("KEYS", "cannot be read; those before go on: %s", port.KeysError)
	}
	for _, m := range port.Participants {
		if m.Held {
			p.add("KEY", "%s has expired or left its keychain, and carries traffic until another does", m.CKN)
			p.add("  next", "put a newer key into keychain %s at both ends", port.Keychain)
		}
	}
	if port.StateError != "" {
		p.add("STATE", "is not saved: a restart would not know its SAs: %s", port.StateError)
	}
	return p.Section
}

func orUnknown(s string) string {
	if s == "" {
		return "the daemon does not say"
	}
	return s
}

func peers(port *status.Port) string {
	live := 0
	for _, m := range port.Participants {
		if m.Principal {
			for _, p := range m.Peers {
				if p.Live {
					live++
				}
			}
		}
	}
	if live == 1 {
		return "one peer"
	}
	return fmt.Sprintf("%d peers", live)
}

// nextOf is what to do about a port that is not secured, by what the daemon
// counts and sees: the first that holds, as the daemon's own reason is.
func (s *State) nextOf(port *status.Port) []string {
	if port.Remedy != "" {
		return []string{port.Remedy}
	}
	count := func(name string) uint64 { return port.Counters[name] }
	if len(port.Participants) == 0 {
		return s.nextKeys(port)
	}
	live, potential := false, false
	for _, m := range port.Participants {
		live = live || slices.ContainsFunc(m.Peers, func(p status.Peer) bool { return p.Live })
		potential = potential || len(m.Peers) > 0
	}
	ours := ckns(port)
	switch {
	case live:
		return []string{"wait some seconds; if it stays, compare the cipher at both ends (" + port.Cipher + " here)"}
	case count("mkpdus_icv_bad") > 0:
		return []string{"the far end has this CKN with another CAK: write the key anew at one end. Fingerprints here, as linkseal keys list shows them: " + fingerprints(port)}
	case potential:
		return []string{"the far end does not hear us: look at its counters, and for a filter of EAPOL on the way"}
	case count("mkpdus_unknown_ckn") > 0:
		return []string{"give both ends the same key; the CKNs here are " + ours}
	case count("mkpdus_received") > 0:
		return []string{"see that the far end still runs, and that the circuit between passes EAPOL"}
	}
	return []string{
		"see that the far end is up, has MACsec on, and that the cable is in the port it is meant for (" + port.Device + ")",
		"then that mka: destination and ethertype are the same at both ends",
	}
}

// nextKeys is what to do where no key may be used.
func (s *State) nextKeys(port *status.Port) []string {
	where := "keychain " + port.Keychain
	for _, k := range s.Status.Keychains {
		if k.Name != port.Keychain {
			continue
		}
		where = k.From
		if k.Error != "" {
			return []string{"mend the source of keys, " + where + ": " + k.Error}
		}
		var expired, later []string
		for _, key := range k.Keys {
			switch {
			case key.State == "expired" && key.Expires != nil:
				expired = append(expired, stamp(*key.Expires))
			case key.State == "not_yet" && key.NotBefore != nil:
				later = append(later, stamp(*key.NotBefore))
			}
		}
		slices.Sort(later)
		slices.Sort(expired)
		switch {
		case len(later) > 0:
			return []string{fmt.Sprintf("the next key starts at %s, and the clock here says %s: set the clock, or put in a key that is valid now", later[0], stamp(s.Now))}
		case len(expired) > 0:
			return []string{fmt.Sprintf("the last key expired at %s: put a new one into %s at both ends", expired[len(expired)-1], where)}
		}
	}
	return []string{"put a key that is valid now into " + where + " at both ends"}
}

func ckns(port *status.Port) string {
	var all []string
	for _, m := range port.Participants {
		all = append(all, m.CKN)
	}
	return strings.Join(all, ", ")
}

func fingerprints(port *status.Port) string {
	var all []string
	for _, m := range port.Participants {
		if m.Fingerprint != "" {
			all = append(all, m.Fingerprint)
		}
	}
	return strings.Join(all, ", ")
}

func tunnel(t *status.Tunnel) Section {
	what := t.Interface
	if what == "" {
		what = "transport mode"
	}
	p := section(fmt.Sprintf("Tunnel %s: %s, %s to %s", t.Name, t.Type, what, t.Remote))
	headline(p, t.State, t.Since, t.Passing)
	live := 0
	for _, m := range t.Members {
		if m.Live {
			live++
		}
	}
	if t.State == status.Secured {
		p.add("", "%d of %d members live", live, len(t.Members))
	}
	for _, c := range t.ClearRoutes {
		p.add("CLEAR", "what it protects is reached in clear too: %s", c)
	}
	problem, remedy := t.Problem, t.Remedy
	if problem == "" && t.State != status.Secured {
		for _, m := range t.Members {
			if m.Problem != "" {
				problem = m.Problem
				break
			}
		}
	}
	if problem != "" || t.State != status.Secured {
		p.add("why", "%s", orUnknown(problem))
		if remedy == "" {
			remedy = fmt.Sprintf("see that %s answers pings from %s, that the far end runs with our key, and that UDP is not filtered between", t.Remote, t.Local)
		}
		p.add("next", "%s", remedy)
	}
	if t.KeysError != "" {
		p.add("KEYS", "cannot be read; those before go on: %s", t.KeysError)
	}
	return p.Section
}
