package plan

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// LinkKind is the kind of a tunnel's interface, by its rtnetlink name.
type LinkKind string

// The kinds. NoLink is of a tunnel for which none is made: transport mode, and
// IPsec in user space, whose tun is charon's.
const (
	NoLink    LinkKind = ""
	WireGuard LinkKind = "wireguard"
	XFRM      LinkKind = "xfrm"
	TUN       LinkKind = "tun" // persistent, of a WireGuard in user space
)

// Tunnel is one tunnel as desired.
type Tunnel struct {
	Name   string
	Device string // the underlay
	Must   bool   // secure: must
	Lack   *Lack  // why this machine cannot have it; nil if it can
	Link   LinkKind
	// Members are the interfaces, in order of N: steps make them, but those of
	// NoLink, which the tunnel's Session makes.
	Members []Member
	// Known says that Live are the interfaces of the members that are live, and
	// that there are no Members but these. Without it what is routed stays so.
	Known   bool
	Live    []string
	Protect []netip.Prefix
	// Addresses of each interface, exactly these, IPv6 link-local ones aside;
	// nil: they are somebody else's to manage. Their networks are routed as
	// Protect is.
	Addresses []netip.Prefix
	// Probe is asked inside each member by a socket that is bound to it: it has a
	// route by each, live or not. The zero one: none is.
	Probe    netip.Addr
	MTU, MSS int // octets; MSS 0: not clamped
	// Room, if it is not 0: MTU leaves that much of the device's, but for LeastMTU.
	// MSSRoom, if it is not 0: MSS leaves that much of MTU.
	Room, LeastMTU, MSSRoom int
	Remotes                 []netip.Addr // where the tunnel's own packets go
	Flows                   []Flow       // what they are
	Transport               bool         // nothing is routed
}

// charonTun begins the name of the tun of a charon in user space, by which it
// looks it up (kernel_libipsec_router.c).
const charonTun = "ipsec"

// Member is one of a tunnel's.
type Member struct {
	N         int
	Interface string
	IfID      uint32 // of an XFRM interface
}

// MemberAlias is the interface alias of member n of the named tunnel.
func MemberAlias(tunnel string, n int) string {
	return AliasPrefix + tunnel + "." + strconv.Itoa(n)
}

// tunnel tells the tunnel's kinds of interface.
func (k LinkKind) tunnel() bool { return k == WireGuard || k == XFRM || k == TUN }

// member is whose interface l is: a tunnel's, by its name, and which.
func (l Link) member() (tunnel string, n int, ok bool) {
	name, ok := strings.CutPrefix(l.Alias, AliasPrefix)
	dot := strings.LastIndexByte(name, '.')
	if !ok || dot < 0 || !l.Kind.tunnel() {
		return "", 0, false
	}
	n, err := strconv.Atoi(name[dot+1:])
	return name[:dot], n, err == nil && n >= 0
}

// tunnels makes the tunnels' interfaces what they should be.
func (b *builder) tunnels(desired Desired, blocked map[string]bool) {
	for _, t := range desired.Tunnels {
		t.MTU, t.MSS = t.sizes(b.deviceMTU(desired, t.Device))
		for _, m := range t.Members {
			if !blocked[t.Name] {
				b.member(t, m)
			}
		}
	}
}

func (b *builder) member(t Tunnel, m Member) {
	link, live := b.Links[m.Interface]
	live = live && !b.gone[m.Interface]
	if !live {
		if t.Link == NoLink {
			return
		}
		b.add(Step{Kind: CreateTunnel, Tunnel: t.Name, Link: m.Interface, Device: t.Device, Member: m.N, LinkKind: t.Link, IfID: m.IfID})
		link = Link{Name: m.Interface, Kind: t.Link}
	}
	step := Step{Tunnel: t.Name, Link: m.Interface}
	if t.MTU != 0 && link.MTU != t.MTU {
		s := step
		s.Kind, s.MTU = SetMTU, t.MTU
		b.add(s)
	}
	b.memberAddresses(t, link, step)
	if t.MSS != 0 && b.MSS[m.Interface] != t.MSS {
		s := step
		s.Kind, s.MSS = SetMSS, t.MSS
		b.add(s)
	}
	if !link.Up {
		s := step
		s.Kind = SetUp
		b.add(s)
	}
	b.up[m.Interface] = true
}

func (b *builder) memberAddresses(t Tunnel, link Link, step Step) {
	if t.Addresses == nil {
		return
	}
	there := func(a netip.Prefix) bool {
		return slices.Contains(link.Addresses, a) && slices.Contains(link.NoPrefixRoute, a)
	}
	for _, a := range link.Addresses {
		if kernelMade(a) || slices.Contains(t.Addresses, a) && there(a) {
			continue
		}
		s := step
		s.Kind, s.Address = RemoveAddress, a
		b.add(s)
	}
	for _, a := range t.Addresses {
		if !there(a) {
			s := step
			s.Kind, s.Address, s.NoPrefixRoute = AddAddress, a, true
			b.add(s)
		}
	}
}

// strayMember says why link, which is a tunnel's, cannot stay; "" if it can.
// tunnel is that of the configuration, if it has it.
func strayMember(link Link, n int, owner string, tunnels map[string]Tunnel, blocked map[string]bool) (why, tunnel string) {
	t, configured := tunnels[owner]
	if !configured {
		return "tunnel " + owner + " is not in the configuration", ""
	}
	if blocked[owner] {
		return "", owner
	}
	const live = "which a live interface cannot: made anew"
	i := slices.IndexFunc(t.Members, func(m Member) bool { return m.N == n })
	switch {
	case t.Link == NoLink && link.Kind == TUN && !t.Transport && strings.HasPrefix(link.Name, charonTun):
		return "", owner // whoever tells of it first: it goes with charon
	case i < 0:
		return "tunnel " + owner + " has no member " + strconv.Itoa(n), owner
	case t.Members[i].Interface != link.Name:
		return "member " + strconv.Itoa(n) + " of tunnel " + owner + " now has interface " + t.Members[i].Interface, owner
	case t.Link == NoLink:
		return "", owner
	case link.Kind != t.Link:
		return "it changes from " + string(link.Kind) + " to " + string(t.Link) + ", " + live, owner
	case link.Kind == XFRM && link.IfID != t.Members[i].IfID:
		return "if_id changes, " + live, owner
	case link.Kind == XFRM && link.Parent != t.Device:
		return "it stands on " + link.Parent + ", tunnel " + owner + " now on " + t.Device, owner
	}
	return "", owner
}
