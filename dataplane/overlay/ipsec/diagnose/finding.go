package diagnose

import "net/netip"

// Kind is what was wrong.
type Kind uint8

const (
	// None: the CHILD_SA is established; what was wrong before is not any more.
	None Kind = iota
	// NoAnswer: the remote says nothing.
	NoAnswer
	// IKEProposal and ESPProposal: no suite in common.
	IKEProposal
	ESPProposal
	// KeyExchange: a group that only one end has.
	KeyExchange
	// Selectors: no traffic in common, or less than was asked for.
	Selectors
	// Identity: one end does not know the other's.
	Identity
	// Authentication: refused, and the refusing end alone knows why.
	Authentication
	// PSK: the pre-shared keys differ, or there is none for that identity.
	PSK
	// Certificate: the other's certificate is not accepted.
	Certificate
	// Mode: one end has transport mode and the other tunnel mode.
	Mode
	// Kernel: this machine refused SAs or policies.
	Kernel
	// Network: this machine cannot send to the remote.
	Network
)

// Finding is why one attempt failed.
type Finding struct {
	// Connection is charon's name of it; "": not known, as the peer was not
	// recognised. Then Remote is where it spoke from.
	Connection string
	Remote     netip.Addr
	Kind       Kind
	// Here: this end refused. Else the other did.
	Here bool
	// Rekey: it was about new keys of what is established.
	Rekey bool
	// Offered is by whom was refused, Accepted what the refusing end has; each
	// empty where the log does not say.
	Offered, Accepted string
	// Detail is charon's own words, where they say more.
	Detail string
}
