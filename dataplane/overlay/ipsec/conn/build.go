package conn

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

// Input is what a connection is made of.
type Input struct {
	Tunnel    config.Tunnel
	Member    int
	Userspace bool // kernel-libipsec does ESP
	// Kept: the kernel has SAs of a charon that is gone, under which traffic goes
	// on until there are new ones.
	Kept bool
	// Certificate of this end, Issuers between it and one that the other end
	// trusts, and CA of the other end, DER; nil with PSKs.
	Certificate []byte
	Issuers, CA [][]byte
}

const (
	// ReplayWindow in packets is the most that the kernel has
	// (XFRMA_REPLAY_ESN_MAX). What several processors encrypt comes in disorder.
	ReplayWindow = 4096
	// RekeyPackets under one key with sequence numbers of 32 bits, renewed before
	// they end.
	RekeyPackets = 3 << 30
	lifePackets  = 1<<32 - 1<<24
)

// Settings are what t's configuration says about suites.
func Settings(t config.Tunnel, userspace bool) suite.Settings {
	s := t.IPsec
	return suite.Settings{
		Profile: s.Profile, IKE: s.IKE, ESP: s.ESP, AllowWeak: s.AllowWeak,
		Lifetimes: suite.Lifetimes{IKE: s.Rekey.IKE, Child: s.Rekey.Child, Octets: s.Rekey.Octets, DPD: s.DPD},
		Userspace: userspace, Transport: s.Mode == config.ModeTransport,
	}
}

// Build returns the one connection of a member, under its name, as load-conn
// takes it. An error is a setting that check refuses too.
func Build(in Input) (Section, error) {
	t := in.Tunnel
	chosen, bad := suite.Choose(Settings(t, in.Userspace))
	if len(bad) > 0 {
		return nil, fmt.Errorf("tunnel %s: ipsec.%s: %s; accepted: %s", t.Name, bad[0].Path, bad[0].What, bad[0].Accepted)
	}
	local, remote := ends(in)
	c := Section{
		{"version", Text("2")},
		{"local_addrs", List{t.Local.String()}},
		{"remote_addrs", List{t.Remote.String()}},
		{"proposals", texts(chosen.IKE)},
		// An address is what routes and enforcement are made for: it stays.
		{"mobike", Text("no")},
		{"fragmentation", Text("yes")},
		{"encap", yes(in.Userspace)},
		// A member's own IKE_SA may be there twice for a moment: make before break.
		{"unique", unique(in.Kept)},
		// A peer that does not answer is asked without end; one that refuses is
		// asked again by us.
		{"keyingtries", Text("0")},
		{"dpd_delay", seconds(chosen.DPD)},
		{"rekey_time", seconds(chosen.Lifetimes.IKE)},
		{"over_time", seconds(chosen.Lifetimes.IKE / 10)},
		{"rand_time", seconds(chosen.Lifetimes.IKE / 10)},
		{"reauth_time", Text("0")},
		{"local", local},
		{"remote", remote},
		{"children", Section{{Name(t.Name, in.Member), child(in, chosen)}}},
	}
	return Section{{Name(t.Name, in.Member), c}}, nil
}

// ends are the sections local and remote.
func ends(in Input) (local, remote Section) {
	me, other := Identities(in.Tunnel, in.Member)
	auth := Text("psk")
	if in.Tunnel.IPsec.Auth == config.AuthCertificate {
		auth = "pubkey"
	}
	local, remote = Section{{"auth", auth}}, Section{{"auth", auth}}
	if me != "" {
		local = append(local, Item{"id", Text(me)})
	}
	remote = append(remote, Item{"id", Text(other)})
	if len(in.Certificate) > 0 {
		// The first is the end's; charon finds the others when it shows how that
		// was issued.
		certs := List{string(in.Certificate)}
		for _, c := range in.Issuers {
			certs = append(certs, string(c))
		}
		local = append(local, Item{"certs", certs})
	}
	if len(in.CA) > 0 {
		var cas List
		for _, ca := range in.CA {
			cas = append(cas, string(ca))
		}
		remote = append(remote, Item{"cacerts", cas})
	}
	return local, remote
}

// child is the section of the CHILD_SA.
func child(in Input, chosen suite.Chosen) Section {
	t := in.Tunnel
	c := Section{{"esp_proposals", texts(chosen.ESP)}}
	if t.Transport() {
		// The trap is a policy: with no SA a packet to the remote waits for one
		// and never leaves in clear.
		c = append(c, Section{
			{"mode", Text("transport")},
			{"start_action", Text("trap")},
			{"close_action", Text("trap")},
		}...)
	} else {
		ts := Selectors(t)
		c = append(c, Section{
			{"mode", Text("tunnel")},
			{"local_ts", ts},
			{"remote_ts", ts},
			// We start it ourselves: charon would close it to load it anew.
			{"start_action", Text("none")},
			{"close_action", Text("none")},
		}...)
	}
	c = append(c, Section{
		{"dpd_action", Text("restart")},
		{"copy_dscp", dscp(t.CopyDSCP)},
		{"replay_window", Text(strconv.Itoa(ReplayWindow))},
		{"rekey_time", seconds(chosen.Child)},
		{"life_time", seconds(Life(chosen.Child))},
		{"rand_time", seconds(chosen.Child / 10)},
		{"rekey_bytes", number(chosen.Octets)},
		{"life_bytes", number(chosen.Octets / 8 * 10)},
		{"rand_bytes", number(chosen.Octets / 10)},
		{"rekey_packets", number(RekeyPackets)},
		{"life_packets", number(lifePackets)},
		{"rand_packets", number(RekeyPackets / 10)},
	}...)
	if !in.Userspace && !t.Transport() {
		id := Text(strconv.FormatUint(uint64(overlay.IfID(t.Name, in.Member)), 10))
		c = append(c, Item{"if_id_in", id}, Item{"if_id_out", id})
	}
	return c
}

// Life is when a CHILD_SA that could not be renewed is cut, if it is to be
// renewed after d: as far beyond as Azure's 27,000 s are beyond our 21,600.
func Life(d time.Duration) time.Duration { return d * 5 / 4 }

// Selectors are the traffic selectors of both ends in tunnel mode: all, of the
// families that the tunnel has; routes say what goes in.
func Selectors(t config.Tunnel) List {
	var four, six bool
	see := func(a netip.Addr) {
		four = four || a.Is4()
		six = six || a.Is6()
	}
	for _, p := range t.Protect {
		see(p.Addr())
	}
	for _, p := range t.Addresses {
		see(p.Addr())
	}
	if t.Probe != nil {
		see(t.Probe.Address)
	}
	var ts List
	if four || !six {
		ts = append(ts, "0.0.0.0/0")
	}
	if six {
		ts = append(ts, "::/0")
	}
	return ts
}

func texts(ps []suite.Proposal) List {
	l := make(List, len(ps))
	for i, p := range ps {
		l[i] = p.String()
	}
	return l
}

// unique is whether charon says INITIAL_CONTACT when it has no other IKE_SA with
// the peer, on which that drops what it had, before we have anything new: not
// while traffic goes on under that.
func unique(kept bool) Text {
	if kept {
		return "never"
	}
	return "no"
}

func yes(b bool) Text {
	if b {
		return "yes"
	}
	return "no"
}

func dscp(copied bool) Text {
	if copied {
		return "out"
	}
	return "no"
}

func seconds(d time.Duration) Text { return Text(strconv.FormatInt(int64(d/time.Second), 10) + "s") }

// number is n, or the most that charon reads: it takes 15 digits.
func number(n uint64) Text { return Text(strconv.FormatUint(min(n, 999_999_999_999_999), 10)) }
