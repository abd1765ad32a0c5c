package suite

import (
	"fmt"
	"strings"
	"time"
)

// Settings are what a tunnel's configuration says about suites and lifetimes.
// The zero value of each is the profile's.
type Settings struct {
	Profile   string
	IKE, ESP  []string
	AllowWeak bool
	Lifetimes
	// Userspace: kernel-libipsec does ESP. Transport: transport mode.
	Userspace, Transport bool
}

// Chosen is what Settings come to.
type Chosen struct {
	Profile  string
	IKE, ESP []Proposal
	Lifetimes
}

// Problem is one thing that is wrong in Settings. Path is its key below ipsec:
// profile, mode, ike.0, esp.1, rekey.ike, rekey.child, rekey.octets, dpd. A
// proposal of the profile itself has the path profile.
type Problem struct{ Path, What, Accepted string }

// The least that makes sense, which are Azure's too (300 s, 1,024 KB; a peer is
// asked every 9 to 3,600 s there, and by us every second at the most).
const (
	minIKE    = time.Minute
	minChild  = 300 * time.Second
	minOctets = 1024 * 1024
	minDPD    = time.Second
	maxDPD    = time.Hour
)

// Check says all that is wrong in s.
func Check(s Settings) []Problem {
	_, bad := Choose(s)
	return bad
}

// Choose fills in the profile and says all that is wrong. What it returns is
// used only where nothing is.
func Choose(s Settings) (Chosen, []Problem) {
	var bad []Problem
	add := func(path, what, accepted string) { bad = append(bad, Problem{path, what, accepted}) }
	p, ok := Lookup(s.Profile)
	if !ok {
		add("profile", fmt.Sprintf("there is no profile %q", s.Profile), strings.Join(Profiles(), ", "))
		p, _ = Lookup(Strict)
	}
	c := Chosen{Profile: p.Name, Lifetimes: p.Lifetimes}
	c.IKE = choose(IKE, s.IKE, p.IKE, "ike", add)
	c.ESP = choose(ESP, s.ESP, p.ESP, "esp", add)
	judge(c.IKE, s, p, "ike", len(s.IKE) == 0, add)
	judge(c.ESP, s, p, "esp", len(s.ESP) == 0, add)
	if s.Userspace {
		userspace(&c, s, add)
	}
	if p.Azure && s.Transport {
		add("mode", "an Azure gateway has no transport mode", "tunnel; transport is between two hosts")
	}
	lifetimes(&c.Lifetimes, s.Lifetimes, p, add)
	return c, bad
}

// choose reads the proposals that were written, the profile's if none were.
// Those that cannot be read are reported and left out.
func choose(protocol Protocol, written, profile []string, path string, add func(path, what, accepted string)) []Proposal {
	if len(written) == 0 {
		written = profile
	}
	var ps []Proposal
	for i, text := range written {
		p, err := Parse(protocol, text)
		if err != nil {
			what, accepted, _ := strings.Cut(err.Error(), "; accepted: ")
			add(fmt.Sprintf("%s.%d", path, i), what, accepted)
			continue
		}
		ps = append(ps, p)
	}
	return ps
}

// judge reports what is weak and what the profile's far end does not accept.
func judge(ps []Proposal, s Settings, profile Profile, path string, ofProfile bool, add func(path, what, accepted string)) {
	for i, p := range ps {
		at := fmt.Sprintf("%s.%d", path, i)
		if ofProfile {
			at = "profile"
		}
		if weak := p.Weaknesses(); len(weak) > 0 && !s.AllowWeak {
			add(at, fmt.Sprintf("%s proposal %s is weak (%s)", p.Protocol, p, strings.Join(weak, "; ")), "a proposal without it, or allow_weak: true")
		}
		if !profile.Azure {
			continue
		}
		if _, err := p.Azure(); err != nil {
			what, accepted, _ := strings.Cut(err.Error(), "; accepted: ")
			add(at, fmt.Sprintf("profile %s does not go with %s proposal %s: %s", profile.Name, p.Protocol, p, what), accepted)
		}
	}
}

// userspace takes away what kernel-libipsec does not have where it may, and
// reports the rest.
func userspace(c *Chosen, s Settings, add func(path, what, accepted string)) {
	if s.Transport {
		add("mode", "there is no transport mode in user space", "tunnel; transport with the kernel's dataplane")
	}
	var left []Proposal
	for i, p := range c.ESP {
		at := fmt.Sprintf("esp.%d", i)
		only := p.ESN()
		for _, t := range p.of(Sequence) {
			only = only && t.Name == "esn"
		}
		if only {
			add(at, fmt.Sprintf("ESP proposal %s: there are no extended sequence numbers in user space", p), p.WithoutESN().String())
			continue
		}
		p = p.WithoutESN()
		for _, t := range p.Transforms {
			if !t.Userspace {
				add(at, fmt.Sprintf("ESP proposal %s: there is no %s in user space", p, t.Name), "aes256gcm16, aes128gcm16, or aes256 with sha256")
			}
		}
		left = append(left, p)
	}
	c.ESP = left
}

// lifetimes lays what was written over the profile's.
func lifetimes(c *Lifetimes, s Lifetimes, p Profile, add func(path, what, accepted string)) {
	below := func(path string, have time.Duration, least time.Duration, seconds int) {
		limit := time.Duration(seconds) * time.Second
		switch {
		case have < least:
			add(path, fmt.Sprintf("%s %v is too often", path, have), fmt.Sprintf("%v or more", least))
		case p.Azure && have >= limit:
			add(path, fmt.Sprintf("%s %v: the gateway cuts the key after %v, and this end must renew it before", path, have, limit), "less than "+limit.String())
		}
	}
	if s.IKE != 0 {
		c.IKE = s.IKE
		below("rekey.ike", s.IKE, minIKE, AzureIKESeconds)
	}
	if s.Child != 0 {
		c.Child = s.Child
		below("rekey.child", s.Child, minChild, AzureChildSeconds)
	}
	if s.Octets != 0 {
		c.Octets = s.Octets
		switch limit := uint64(AzureChildKB) * 1024; {
		case s.Octets < minOctets:
			add("rekey.octets", fmt.Sprintf("rekey.octets %d is too often", s.Octets), fmt.Sprintf("%d or more", minOctets))
		case p.Azure && s.Octets >= limit:
			add("rekey.octets", fmt.Sprintf("rekey.octets %d: the gateway cuts the key after %d octets, and this end must renew it before", s.Octets, limit), fmt.Sprintf("less than %d", limit))
		}
	}
	if s.DPD != 0 {
		c.DPD = s.DPD
		if s.DPD < minDPD || s.DPD > maxDPD || s.DPD%time.Second != 0 {
			add("dpd", fmt.Sprintf("dpd %v", s.DPD), "whole seconds, 1s to 1h")
		}
	}
}
