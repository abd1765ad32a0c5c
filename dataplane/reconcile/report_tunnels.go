package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// tunnelView is a tunnel as the last pass left it, for Status.
type tunnelView struct {
	all       []config.Tunnel
	cfg       config.Tunnel
	choice    plan.Choice
	session   overlay.Session
	routed    bool
	problem   *plan.Problem
	clear     []string
	unguarded string
	keysError error
}

func (r *Reconciler) tunnelViews() (all []tunnelView) {
	for _, c := range r.cfg.Tunnels {
		v := tunnelView{all: r.cfg.Tunnels, cfg: c, choice: r.chosen[c.Name]}
		if t := r.tunnels[c.Name]; t != nil {
			v.session, v.routed, v.problem, v.clear, v.unguarded = t.session, t.routed, t.problem, slices.Clone(t.clear), string(t.guarded)
		}
		if r.failed != "" {
			v.problem = &plan.Problem{Tunnel: c.Name, Cause: "the machine cannot be observed: " + r.failed, Remedy: "it is tried again"}
		}
		for _, name := range c.Keychains() {
			if n := r.rings[name]; n != nil && n.err != nil && v.keysError == nil {
				v.keysError = n.err
			}
		}
		all = append(all, v)
	}
	return all
}

// underlays are asked once a status, however many tunnels are on a device.
type underlays struct {
	machine Machine
	seen    map[string]*underlay
	fenced  func() *status.Fenced
	handed  uint64 // by all tunnels of the kernel's IPsec
}

type underlay struct {
	counters    map[string]uint64
	flows       map[ends][]status.Flow
	enforcement *status.Enforcement
}

// ends are by what a tunnel finds its flows: of WireGuard its own alone.
type ends struct {
	local  netip.AddrPort
	remote netip.Addr
}

func newUnderlays(m Machine) underlays {
	return underlays{machine: m, seen: make(map[string]*underlay), fenced: sync.OnceValue(m.Fenced)}
}

func (u underlays) of(device string) *underlay {
	if one := u.seen[device]; one != nil {
		return one
	}
	one := &underlay{enforcement: u.machine.Enforcement(device)}
	// An error is the next look's to tell; without a filter there is nothing.
	one.counters, _ = u.machine.FilterCounters(device)
	one.flows = make(map[ends][]status.Flow)
	flows, _ := u.machine.Flows(device)
	for _, f := range flows {
		one.add(f)
	}
	u.seen[device] = one
	return one
}

// add takes a flow; one whose end cannot be read is no tunnel's.
func (u *underlay) add(f status.Flow) {
	local, err := netip.ParseAddrPort(f.Local)
	if err != nil {
		return
	}
	e := ends{local: local}
	if remote, err := netip.ParseAddrPort(f.Remote); err == nil && f.Protocol != bpf.WireGuard.String() {
		e.remote = remote.Addr()
	}
	u.flows[e] = append(u.flows[e], f)
}

func (v tunnelView) report(below underlays) status.Tunnel {
	c := &v.cfg
	t := status.Tunnel{Name: c.Name, Type: c.Type, Device: c.Device, Interface: c.Interface, Dataplane: string(v.choice.Dataplane), DataplaneReason: v.choice.Reason,
		State: status.Down, Secure: "should", Local: c.Local.String(), Remote: c.Remote.String(), Passing: status.PassingNone,
		ClearRoutes: v.clear, Keychains: c.Keychains()}
	for _, p := range c.Protect {
		t.Protect = append(t.Protect, p.String())
	}
	if v.keysError != nil {
		t.KeysError = v.keysError.Error()
	}
	if v.session != nil {
		reportView(v.session.View(), &t)
		v.strayed(&t)
		// Until then nothing goes into it, and who waits for it may not begin.
		if t.State == status.Secured && !v.routed {
			t.State, t.Problem, t.Remedy = status.Unsecured, "its routes are not there yet", "they follow within a second; the log says why if they do not"
		}
	}
	t.Dropped = below.machine.Dropped(countedBy(c, v.choice.Dataplane, t.Members))
	if x := t.Dropped[status.XFRM]; x != nil { // the kernel dropped them, and they arrived
		x["rx_errors"] -= min(x["rx_errors"], below.handed)
	}
	switch {
	// Unsecured, a member may be live: on what is left of a session under a PSK that
	// is not wanted any more.
	case v.routed && (t.State == status.Secured || slices.ContainsFunc(t.Members, func(m status.Member) bool { return m.Live })):
		t.Passing = status.PassingProtected
	case !c.Must:
		t.Passing = status.PassingClear
	}
	if v.problem != nil {
		t.Problem, t.Remedy = v.problem.Cause, v.problem.Remedy
	}
	if t.State != status.Secured && t.Problem == "" {
		t.Problem = "it is starting"
	}
	if !c.Must {
		return t
	}
	t.Secure = "must"
	device := below.of(c.Device)
	t.Fenced = below.fenced()
	t.Filter = device.counters
	t.Flows = device.of(c)
	if e := device.enforcement; e != nil {
		own := *e
		if !own.Guard && own.GuardError == "" {
			own.GuardError = v.unguarded
		}
		t.Enforcement = &own
	}
	return t
}

// handed is how many packets arrived by a second way: see overlay.MemberView.
func (v tunnelView) handed() (n uint64) {
	if v.session != nil {
		for _, m := range v.session.View().Members {
			n += m.Handed
		}
	}
	return n
}

// strayed tells of members whose peer was last heard from an address to which
// there is no way beside the tunnels.
func (v tunnelView) strayed(t *status.Tunnel) {
	remotes := v.cfg.Remotes()
	for i := range t.Members {
		m := &t.Members[i]
		heard, err := netip.ParseAddrPort(m.Remote)
		if err != nil || slices.Contains(remotes, heard.Addr().Unmap()) {
			continue
		}
		if name := protector(v.all, heard.Addr()); name != "" && m.Problem == "" {
			m.Problem = fmt.Sprintf("the peer was heard from %s, which tunnel %s protects: nothing goes there beside it; the peer's packets are to come from an address outside, or from remote", heard.Addr(), name)
		}
	}
}

// The ports of IPsec: ESP has none.
var ipsecPorts = []uint16{0, 500, 4500}

// of are the flows of t: by its ports, or by the address of its end.
func (u *underlay) of(t *config.Tunnel) (all []status.Flow) {
	if w := t.WireGuard; w != nil {
		for n := range uint16(t.Ports()) {
			all = append(all, u.flows[ends{local: netip.AddrPortFrom(t.Local, w.Port+n)}]...)
		}
		return all
	}
	for _, port := range ipsecPorts {
		all = append(all, u.flows[ends{netip.AddrPortFrom(t.Local, port), t.Remote}]...)
	}
	return all
}

func reportView(v overlay.View, t *status.Tunnel) {
	if v.State != overlay.Unknown {
		t.State = string(v.State)
	}
	t.Since, t.Problem, t.Remedy, t.PublicKey = status.Given(v.Since), v.Problem, v.Remedy, v.PublicKey
	for _, m := range v.Members {
		r := status.Member{N: m.N, Interface: m.Interface, Live: m.Live, Handshake: status.Given(m.Handshake), KeyID: m.KeyID,
			RxOctets: m.RxOctets, TxOctets: m.TxOctets, RxPackets: m.RxPackets, TxPackets: m.TxPackets,
			IKE: m.IKE, ESP: m.ESP, SPIIn: spis(m.SPIIn), SPIOut: spis(m.SPIOut), Rekeys: m.Rekeys, Problem: m.Problem}
		if m.Local.IsValid() {
			r.Local = m.Local.String()
		}
		if m.Remote.IsValid() {
			r.Remote = m.Remote.String()
		}
		if m.RTT > 0 || m.ProbeLost > 0 {
			rtt, lost := m.RTT.Seconds(), m.ProbeLost
			r.RTT, r.ProbeLost = &rtt, &lost
		}
		for _, p := range m.Peers {
			q := status.TunnelPeer{PublicKey: p.PublicKey, Keychain: p.Keychain, Live: p.Live, Handshake: status.Given(p.Handshake), KeyID: p.KeyID,
				RxOctets: p.RxOctets, TxOctets: p.TxOctets, Problem: p.Problem}
			if p.Remote.IsValid() {
				q.Remote = p.Remote.String()
			}
			r.Peers = append(r.Peers, q)
		}
		t.Members = append(t.Members, r)
	}
}

func spis(list []uint32) (all []string) {
	for _, n := range list {
		all = append(all, fmt.Sprintf("%08x", n))
	}
	return all
}
