package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/macsec"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/nft"
	"github.com/linkseal/linkseal/linux/route"
)

// Kernel is this machine, as one network namespace sees it.
type Kernel struct {
	ns     *netns.NS
	links  *link.Handle
	routes *route.Handle
	nft    *nft.Handle
	macsec *macsec.Conn // nil until the kernel has MACsec
	claim  *os.File     // nil without a Claim

	// Devices that had a filter when all were looked at, by ifindex. A machine
	// may have hundreds of links that are nothing to us, and each look costs
	// system calls.
	filtered map[int]bool
	scanned  time.Time

	mssSeen    bool      // nftables have an MSS of ours, or have not been asked
	fenceSeen  bool      // nftables have a fence of ours, or have not been asked
	remembered string    // the file of hashBefore; "": it is not kept
	elsewhere  time.Time // when routes of others were last looked at

	guards   map[string]guarded // by device, since this process began
	lifts    map[string]lifted  // by device
	circuits circuits
	closed   atomic.Pointer[[]closedPort]
}

// OpenKernel opens the calling thread's network namespace. A kernel without
// MACsec is no error here: it has no MACsec devices, and to make one fails.
func OpenKernel() (*Kernel, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, err
	}
	k := &Kernel{ns: ns, guards: make(map[string]guarded), lifts: make(map[string]lifted), mssSeen: true, fenceSeen: true}
	k.closed.Store(&[]closedPort{})
	err = ns.Do(func() (err error) {
		if k.links, err = link.Open(); err != nil {
			return err
		}
		if k.routes, err = route.Open(); err != nil {
			return err
		}
		k.nft, err = nft.Open()
		return err
	})
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Close releases what OpenKernel took.
func (k *Kernel) Close() error {
	var err error
	if k.macsec != nil {
		err = k.macsec.Close()
	}
	if k.claim != nil {
		err = errors.Join(err, k.claim.Close())
	}
	if k.links != nil {
		err = errors.Join(err, k.links.Close())
	}
	if k.routes != nil {
		err = errors.Join(err, k.routes.Close())
	}
	if k.nft != nil {
		err = errors.Join(err, k.nft.Close())
	}
	return errors.Join(err, k.ns.Close())
}

// Do runs f on a thread in the network namespace.
func (k *Kernel) Do(f func() error) error { return k.ns.Do(f) }

// dial connects to the kernel's MACsec, and has it loaded if it is a module.
func (k *Kernel) dial() (*macsec.Conn, error) {
	if k.macsec != nil {
		return k.macsec, nil
	}
	err := k.ns.Do(func() (err error) { k.macsec, err = macsec.Dial(); return err })
	if err != nil {
		k.macsec = nil
	}
	return k.macsec, err
}

// Observe reports the links of the namespace with what linkseal sets on them.
func (k *Kernel) Observe(d plan.Desired) (plan.Observed, error) {
	o := plan.Observed{Links: make(map[string]plan.Link), Filters: make(map[string]plan.Filter), Unreadable: make(map[string]string)}
	links, err := k.links.List()
	if err != nil {
		return o, err
	}
	devices, err := k.secYs(links)
	if err != nil {
		return o, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	addresses, err := k.links.AllAddresses()
	if err != nil {
		return o, err
	}
	must := make(map[string]bool) // parents and underlays -> must-secure
	tagged := make(map[string]bool)
	for _, p := range d.Ports {
		must[p.Device] = p.Must
		tagged[p.Interface] = p.Tags != nil
	}
	parents := maps.Clone(must)
	for _, device := range d.Underlays() {
		must[device] = true
	}
	all := k.scanned.IsZero() || time.Since(k.scanned) >= resync
	if all {
		k.filtered, k.scanned = make(map[int]bool), time.Now()
	}
	var closed []closedPort
	for _, l := range links {
		if must[l.Name] {
			p := closedPort{Link: l}
			if err := k.ns.Do(func() error { p.silent = hush(l); return nil }); err != nil {
				return o, err
			}
			closed = append(closed, p)
		}
		_, looked := must[l.Name]
		_, parent := parents[l.Name]
		// A port's interface has a filter only as the underlay of a tunnel.
		if len(l.MAC) == len(plan.MAC{}) && (all || looked || k.filtered[l.Index]) {
			want, _ := d.Filter(l.Name)
			filter, mode, there, err := k.filter(l.Index, want)
			if must[l.Name] && mode.ByTC() {
				closed[len(closed)-1].noXDP = k.lift(l)
			}
			switch {
			case err != nil && must[l.Name]:
				o.Unreadable[l.Name] = err.Error()
			case there:
				o.Filters[l.Name] = filter
				k.filtered[l.Index] = true
			}
		}
		_, filtered := o.Filters[l.Name]
		bare := parent || filtered && !o.Filters[l.Name].CountOnly
		seen, err := k.link(l, names, devices[l.Index], bare, addresses[l.Index])
		if errors.Is(err, link.ErrNotFound) {
			continue // it has just gone
		}
		if err != nil {
			return o, err
		}
		if ours(l) || devices[l.Index] != nil && strings.HasPrefix(l.Alias, plan.AliasPrefix) {
			seen.Tags, seen.TagsTorn = k.observeTags(l.Index, tagged[l.Name])
		}
		o.Links[l.Name] = seen
	}
	k.closed.Store(&closed)
	return o, k.observeRoutes(d, links, names, &o)
}

// secYs lists the MACsec devices by ifindex.
func (k *Kernel) secYs(links []link.Link) (map[int]*plan.MACsec, error) {
	all := make(map[int]*plan.MACsec)
	any := false
	for _, l := range links {
		any = any || l.Kind == "macsec"
	}
	if !any {
		return all, nil
	}
	c, err := k.dial()
	if err != nil {
		return nil, err
	}
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		suite, known := sa.SuiteFromID(uint64(s.CipherSuite))
		if !known {
			suite = 0 // differs from every one that is wanted
		}
		m := &plan.MACsec{SCI: sa.SCI(s.SCI), Suite: suite, Encrypt: s.Encrypt, SendSCI: s.IncludeSCI,
			Protect: s.Protect, Validate: plan.Validation(s.Validate)}
		if s.ReplayProtect {
			m.ReplayWindow = &s.ReplayWindow
		}
		all[s.Ifindex] = m
	}
	return all, nil
}

// ours tells linkseal's taps, a half made one included. A machine may have
// hundreds of others, of virtual machines.
func ours(l link.Link) bool { return l.Tap && linkseals(l) }

func linkseals(l link.Link) bool {
	return l.Name == plan.UnfinishedName || strings.HasPrefix(l.Alias, plan.AliasPrefix)
}

// link fills in addresses and IPv6 for a link that matters: a port's device,
// and a parent that is configured or was.
func (k *Kernel) link(l link.Link, names map[int]string, m *plan.MACsec, parent bool, addresses []link.Address) (plan.Link, error) {
	seen := plan.Link{Name: l.Name, Index: l.Index, Alias: l.Alias, Parent: names[l.Parent], Up: l.Up, Carrier: l.Carrier, Promiscuous: l.Promiscuous, MTU: l.MTU, MACsec: m, Tap: l.Tap}
	copy(seen.MAC[:], l.MAC)
	if l.Kind == link.KindWireGuard || l.Kind == link.KindXFRM || l.Kind == "tun" && !l.Tap {
		seen.Kind, seen.IfID = plan.LinkKind(l.Kind), l.IfID
	}
	tunnel := seen.Kind != plan.NoLink && linkseals(l)
	if m == nil && !ours(l) && !parent && !tunnel {
		return seen, nil
	}
	for _, a := range addresses {
		seen.Addresses = append(seen.Addresses, a.Prefix)
		if a.NoPrefixRoute {
			seen.NoPrefixRoute = append(seen.NoPrefixRoute, a.Prefix)
		}
	}
	if !parent {
		return seen, nil
	}
	q, err := k.links.Queues(l)
	if err != nil {
		return seen, err
	}
	seen.RxQueues, seen.TxQueues = q.Rx, q.Tx
	off, err := k.links.IPv6Disabled(l.Index)
	seen.IPv6 = !off
	return seen, err
}

// filter tells what filter of linkseal's is on a device. One that is there in
// part is the zero Filter, which equals none that is wanted; of an underlay whose
// flows are not those of want, the flows are left out. in is how its ingress is
// attached.
func (k *Kernel) filter(index int, want plan.Filter) (f plan.Filter, in bpf.Mode, there bool, err error) {
	var s bpf.State
	if err := k.ns.Do(func() (err error) { s, err = bpf.Observe(index); return err }); err != nil {
		return f, 0, false, err
	}
	if s.Ingress.Mode == 0 && s.Egress.Mode == 0 {
		return f, 0, false, nil
	}
	if s.Underlay != nil {
		return underlayFilter(s, want), s.Ingress.Mode, true, nil
	}
	if in := s.Ingress.Filter; s.Enforces(in) {
		f = plan.Filter{EAPOLDestination: in.EAPOLDestination, EAPOLEtherType: in.EtherType, CountOnly: in.CountOnly}
		for _, p := range in.Allow {
			f.Allow = append(f.Allow, string(p))
		}
	}
	return f, s.Ingress.Mode, true, nil
}

// FilterCounters are the counters of the filter on device, by direction and
// verdict; nil if there is none.
func (k *Kernel) FilterCounters(device string) (map[string]uint64, error) {
	l, err := k.links.ByName(device)
	if err != nil {
		return nil, err
	}
	var c bpf.Counters
	err = k.ns.Do(func() (err error) { c, err = bpf.ReadCounters(l.Index); return err })
	if errors.Is(err, bpf.ErrNotAttached) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	counts := make(map[string]uint64)
	for direction, v := range map[string]bpf.Verdicts{"ingress": c.Ingress, "egress": c.Egress} {
		for verdict, n := range map[string]bpf.Counter{"macsec": v.MACsec, "eapol": v.EAPOL, "allowed": v.Allowed, "tunnel": v.Tunnel, "clear": v.Clear,
			"tagged": v.Tagged, "dropped": v.Dropped, "protected": v.Protected, "eapol_limited": v.EAPOLLimited} {
			counts[fmt.Sprintf("%s_%s_packets", direction, verdict)] = n.Packets
			counts[fmt.Sprintf("%s_%s_octets", direction, verdict)] = n.Octets
		}
	}
	return counts, nil
}

// gone tells the errors of a thing that is no longer there.
func gone(err error) bool {
	return errors.Is(err, link.ErrNotFound) || errors.Is(err, macsec.ErrNoDevice)
}
