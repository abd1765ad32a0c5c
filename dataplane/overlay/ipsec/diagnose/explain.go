package diagnose

import (
	"fmt"
	"strings"
)

// Settings are what this end has, to hold against what was refused.
type Settings struct {
	Tunnel, Remote    string
	LocalID, RemoteID string
	PSK               string // id of the preferred one; "": certificates, or none is there
	Certificate, CA   string // paths
	IKE, ESP          string // proposals
	Selectors         string // of ours to the other's
	Transport         bool
	Azure             bool // the other end is one of Azure's gateways
}

// Explain says what is wrong, in one sentence, and what to do about it.
func (f Finding) Explain(s Settings) (problem, remedy string) {
	side := "remote " + s.Remote + " refused"
	if f.Here {
		side = "this end refused remote " + s.Remote
	}
	if f.Rekey {
		side += ", when keys were renewed,"
	}
	switch f.Kind {
	case None:
		return "", ""
	case NoAnswer:
		return fmt.Sprintf("remote %s does not answer IKE", s.Remote),
			"is it up, is UDP 500 and 4500 open between both, and is there a route; does it know this end's address"
	case Network:
		return fmt.Sprintf("this end cannot send to remote %s: %s", s.Remote, f.Detail), "a route to the remote, and no filter of UDP 500 and 4500 here"
	case IKEProposal:
		return f.proposals(side, "IKE", s.IKE), policy(s, "ipsec.ike", "one IKE proposal that both ends have")
	case ESPProposal:
		what := f.proposals(side, "ESP", s.ESP)
		if f.Rekey {
			what += "; what differs is most likely the key exchange (PFS), which the first keys do without"
		}
		return what, policy(s, "ipsec.esp", "one ESP proposal that both ends have, PFS and ESN included")
	case KeyExchange:
		want := "another one"
		if f.Accepted != "" {
			want = f.Accepted
		}
		return fmt.Sprintf("%s the key exchange: it wants %s; offered by us: %s", side, want, s.IKE+"; "+s.ESP), policy(s, "ipsec.ike and ipsec.esp", "the same key exchange at both ends")
	case Selectors:
		return f.selectors(side, s)
	case Mode:
		return fmt.Sprintf("the modes differ: remote %s has %s mode, this end %s mode", s.Remote, f.Offered, mode(s)), "the same ipsec.mode at both ends"
	case Identity:
		return f.identity(side, s)
	case PSK:
		if f.Detail != "" {
			return fmt.Sprintf("this end has no PSK for identity %q of remote %s; accepted: %q", f.Offered, s.Remote, s.RemoteID),
				"ipsec.remote_id as the remote calls itself, and a PSK in the keychain that is inside its window"
		}
		return fmt.Sprintf("this end refused the PSK of remote %s (identity %q): it differs from ours, %s", s.Remote, f.Offered, s.psk()),
			"the same PSK in both keychains, inside its window"
	case Certificate:
		return f.certificate(s)
	case Kernel:
		return "this machine refused what charon gave it: " + f.Detail, "linkseal doctor says what the kernel has; dataplane: userspace needs nothing of it"
	}
	return f.refused(s)
}

func (f Finding) proposals(side, protocol, ours string) string {
	if f.Here {
		return fmt.Sprintf("%s: no %s proposal in common; offered by it: %s; accepted here: %s", side, protocol, or(f.Offered, "not told"), or(f.Accepted, ours))
	}
	return fmt.Sprintf("%s all %s proposals (NO_PROPOSAL_CHOSEN); offered by us: %s", side, protocol, ours)
}

func (f Finding) selectors(side string, s Settings) (problem, remedy string) {
	remedy = "the same traffic selectors at both ends, crossed: " + s.Selectors + " is ours; route-based there, not policy-based"
	switch {
	case f.Accepted != "":
		return fmt.Sprintf("remote %s narrowed the traffic selectors to %s; offered by us: %s; what is outside is dropped", s.Remote, f.Accepted, s.Selectors), remedy
	case f.Here:
		return fmt.Sprintf("%s: no traffic selectors in common; offered by it: %s; accepted here: %s", side, or(f.Offered, "not told"), s.Selectors), remedy
	}
	return fmt.Sprintf("%s the traffic selectors (TS_UNACCEPTABLE); offered by us: %s", side, s.Selectors), remedy
}

func (f Finding) identity(side string, s Settings) (problem, remedy string) {
	return fmt.Sprintf("%s: its identities are not those configured; offered by it: %s; accepted here: local_id %s, remote_id %s", side, or(f.Offered, "not told"), or(s.LocalID, "the certificate's subject"), s.RemoteID),
		"ipsec.remote_id as the remote calls itself, and ipsec.local_id as it expects us"
}

func (f Finding) certificate(s Settings) (problem, remedy string) {
	if strings.HasPrefix(f.Detail, "no private key") {
		return fmt.Sprintf("this end has no private key that belongs to certificate %s: %s", s.Certificate, f.Detail), "ipsec.private_key and ipsec.certificate of one pair; local_id that the certificate has in it"
	}
	return fmt.Sprintf("this end refused the certificate of remote %s: offered: %s; accepted: one that %s has issued, for identity %s (%s)", s.Remote, or(f.Offered, "none"), s.CA, s.RemoteID, or(f.Detail, "not trusted")),
		"the remote's issuer in ipsec.ca, a certificate inside its time, and ipsec.remote_id that it has in it; is the clock right"
}

// refused is AUTHENTICATION_FAILED, and what else the other end may say.
func (f Finding) refused(s Settings) (problem, remedy string) {
	said := or(f.Detail, "AUTHENTICATION_FAILED")
	if s.Certificate != "" {
		return fmt.Sprintf("remote %s refused this end (%s): it does not accept our certificate or identity, or has another identity; offered: certificate %s, local_id %s, remote_id %s", s.Remote, said, s.Certificate, or(s.LocalID, "the certificate's subject"), s.RemoteID),
			"there: the CA that issued our certificate, and our identity; here: ipsec.remote_id as it calls itself; its log says which"
	}
	return fmt.Sprintf("remote %s refused this end (%s): it has another PSK for us, or does not know these identities; offered: %s, local_id %s, remote_id %s", s.Remote, said, s.psk(), s.LocalID, s.RemoteID),
		"the same PSK in both keychains; ipsec.local_id as it expects us, and ipsec.remote_id as it calls itself; its log says which"
}

func (s Settings) psk() string {
	if s.PSK == "" {
		return "no PSK, as none is inside its window"
	}
	return "PSK " + s.PSK
}

// policy is the remedy for suites; Azure's are set in the portal.
func policy(s Settings, key, remedy string) string {
	if s.Azure {
		return remedy + ": the connection's custom IPsec policy in Azure as " + key + " here"
	}
	return remedy + ": " + key
}

func mode(s Settings) string {
	if s.Transport {
		return "transport"
	}
	return "tunnel"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
