package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// fakeMachine is a machine in memory.
type fakeMachine struct {
	mu       sync.Mutex
	o        plan.Observed
	index    int
	steps    []string
	order    []string // steps and guards
	unguard  error    // what Guard answers
	refuse   map[plan.Kind]error
	blind    error
	can      plan.Capabilities
	tokens   chan struct{}
	hold     chan struct{} // if not nil, looks hang until it is closed
	slow     time.Duration // that a step takes
	observed chan struct{} // takes a token for every look
	flows    []status.Flow
	asked    []string // what a status asked for of tunnels
}

func newMachine(devices ...string) *fakeMachine {
	m := &fakeMachine{o: plan.Observed{Links: map[string]plan.Link{}, Filters: map[string]plan.Filter{}, Rules: map[plan.Family]bool{}, HashPorts: map[plan.Family]bool{}, HashBefore: map[plan.Family]string{}, MSS: map[string]int{}},
		refuse: map[plan.Kind]error{}, tokens: make(chan struct{}, 1), observed: make(chan struct{}, 1000)}
	for _, d := range devices {
		m.plug(d)
	}
	return m
}

// change changes the machine as somebody else would, and tells.
func (m *fakeMachine) change(f func()) {
	m.mu.Lock()
	f()
	m.mu.Unlock()
	select {
	case m.tokens <- struct{}{}:
	default:
	}
}

func (m *fakeMachine) plug(name string) {
	m.index++
	m.o.Links[name] = plan.Link{Name: name, Index: m.index, MTU: 1600, Carrier: true, MAC: plan.MAC{2, 0, 0, 0, 0, byte(m.index)}}
}

// unplug removes a device and what stands on it.
func (m *fakeMachine) unplug(name string) {
	delete(m.o.Links, name)
	delete(m.o.Filters, name)
	maps.DeleteFunc(m.o.Links, func(_ string, l plan.Link) bool { return l.Parent == name })
}

func (m *fakeMachine) Observe(plan.Desired) (plan.Observed, error) {
	m.mu.Lock()
	hold := m.hold
	m.mu.Unlock()
	if hold != nil {
		<-hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.observed <- struct{}{}:
	default: // a test of days does not count them
	}
	o := m.o
	o.Links, o.Filters, o.Unreadable, o.Routes = maps.Clone(o.Links), maps.Clone(o.Filters), maps.Clone(o.Unreadable), slices.Clone(o.Routes)
	o.Rules, o.HashPorts, o.HashBefore, o.MSS = maps.Clone(o.Rules), maps.Clone(o.HashPorts), maps.Clone(o.HashBefore), maps.Clone(o.MSS)
	return o, m.blind
}

func (m *fakeMachine) Apply(s plan.Step) error {
	m.mu.Lock()
	slow := m.slow
	m.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse[s.Kind]; err != nil {
		return err
	}
	m.steps = append(m.steps, s.String())
	m.order = append(m.order, s.String())
	l := m.o.Links[s.Link]
	if m.applyTunnel(s) {
		return nil
	}
	switch s.Kind {
	case plan.SetFilter, plan.CountFrames, plan.SetUnderlay:
		m.o.Filters[s.Device] = *s.Filter
		return nil
	case plan.RemoveFilter:
		delete(m.o.Filters, s.Device)
		return nil
	case plan.DeleteDevice:
		delete(m.o.Links, s.Link)
		m.unroute(s.Link)
		return nil
	case plan.CreateDevice:
		m.index++
		parent := m.o.Links[s.Device]
		l = plan.Link{Name: s.Link, Index: m.index, Alias: plan.Alias(s.Port), Parent: s.Device, MTU: parent.MTU - plan.Overhead, MAC: parent.MAC, MACsec: s.MACsec}
		if s.Dataplane == plan.Userspace {
			l = plan.Link{Name: s.Link, Index: m.index, Alias: plan.Alias(s.Port), MTU: plan.TapMTU, MAC: parent.MAC, Tap: true}
		}
	case plan.SetMAC:
		l.MAC = s.MAC
	case plan.ChangeDevice:
		l.MACsec = s.MACsec
	case plan.AddAddress:
		l.Addresses = append(slices.Clone(l.Addresses), s.Address)
		if s.NoPrefixRoute {
			l.NoPrefixRoute = append(slices.Clone(l.NoPrefixRoute), s.Address)
		}
	case plan.RemoveAddress:
		l.Addresses = slices.DeleteFunc(slices.Clone(l.Addresses), func(a netip.Prefix) bool { return a == s.Address })
	case plan.SetMTU:
		l.MTU = s.MTU
	case plan.SetTags:
		l.Tags = s.Tags
	case plan.RemoveTags:
		l.Tags = nil
	case plan.SetUp:
		l.Up = true
	case plan.EnableIPv6:
		l.IPv6 = true
	case plan.DisableIPv6:
		l.IPv6 = false
	default:
		return fmt.Errorf("unknown step %v", s)
	}
	m.o.Links[s.Link] = l
	return nil
}

func (m *fakeMachine) Capabilities() plan.Capabilities {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.can
}

func (m *fakeMachine) Watch(context.Context) (<-chan struct{}, error) { return m.tokens, nil }

func (m *fakeMachine) Guard(device string, on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order = append(m.order, fmt.Sprintf("guard %s %t", device, on))
	return m.unguard
}

func (m *fakeMachine) Enforcement(string) *status.Enforcement { return nil }

func (m *fakeMachine) FilterCounters(device string) (map[string]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.o.Filters[device]; !ok {
		return nil, nil
	}
	return map[string]uint64{"egress_dropped_packets": 7}, nil
}

func (m *fakeMachine) OuterCircuits(device string) ([]status.Circuit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.o.Filters[device]; !ok {
		return nil, nil
	}
	return []status.Circuit{{STag: 100, Direction: "egress", Traffic: status.Traffic{Packets: 3}}}, nil
}

func (m *fakeMachine) Tagging(name string) (t status.Tagging, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.o.Links[name]
	if l.Tags == nil {
		return t, bpf.ErrNotTagged
	}
	t.TagsBy = "tcx"
	for i, r := range l.Tags.Rules {
		t.Classes = append(t.Classes, status.Class{Name: r.Name, Direction: "egress", Traffic: status.Traffic{Packets: uint64(i + 1)}})
	}
	return t, nil
}

// taken empties and returns the steps that were applied.
func (m *fakeMachine) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.steps
	m.steps = nil
	return s
}

// fakeSession records what a KaY is told.
type fakeSession struct {
	port  config.Port
	place Place

	mu          sync.Mutex
	keys        []string // CKNs of the last SetKeys, with the octets' length
	given       int      // how often
	link        []bool
	changes     []config.Port // what Configure was told
	filters     int           // how often FilterSet was
	starved     bool          // what it says then
	enforced    string        // what Enforced said last
	promiscuous []bool        // what SetPromiscuous said
	idle        time.Duration // what Idle says
	suspended   bool
	closed      bool
}

func (s *fakeSession) Idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle
}

func (s *fakeSession) hang(idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
}

func (s *fakeSession) SetKeys(sel keychain.Selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.given = nil, s.given+1
	for _, k := range sel.Active {
		s.keys = append(s.keys, fmt.Sprintf("%s/%d", k.CKN, k.CAK.Len()))
	}
}

// told is what the last SetKeys said, how often there was one, and what
// LinkChanged said so far.
func (s *fakeSession) told() (keys []string, given int, link []bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.given, slices.Clone(s.link)
}

func (s *fakeSession) hasKeys() []string { keys, _, _ := s.told(); return keys }

func (s *fakeSession) LinkChanged(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = append(s.link, up)
}

func (s *fakeSession) Configure(p config.Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, p)
}

func (s *fakeSession) SetPromiscuous(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promiscuous = append(s.promiscuous, on)
}

func (s *fakeSession) FilterSet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filters++
	return !s.starved
}

func (s *fakeSession) Enforced(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enforced = why
}

func (s *fakeSession) Report(p *status.Port) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.State, p.UnsecuredReason = status.Unsecured, "no MKPDU received"
	return !s.closed
}

func (s *fakeSession) Suspend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.suspended {
		return errors.New("suspended twice, or after its end")
	}
	s.suspended = true
	return nil
}

func (s *fakeSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("closed twice")
	}
	s.closed = true
	return nil
}

// fakeSource is a keychain that a test edits.
type fakeSource struct {
	mu     sync.Mutex
	load   func() (*keychain.Keychain, error)
	tokens chan struct{}
}

func (f *fakeSource) Load() (*keychain.Keychain, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

func (f *fakeSource) Watch(context.Context) <-chan struct{} { return f.tokens }

func (f *fakeSource) set(load func() (*keychain.Keychain, error), tell bool) {
	f.mu.Lock()
	f.load = load
	f.mu.Unlock()
	if tell {
		f.tokens <- struct{}{}
	}
}

// fakeSeen keeps first-seen times in memory.
type fakeSeen struct{ saved map[string]keychain.Seen }

func (f *fakeSeen) Load() (map[string]keychain.Seen, error) { return f.saved, nil }

func (f *fakeSeen) Save(s map[string]keychain.Seen) error { f.saved = s; return nil }

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// fakeKeeper keeps in memory what is to be sealed.
type fakeKeeper struct {
	mu    sync.Mutex
	kept  Kept
	err   error // of Save
	takes time.Duration
	saves int
}

func (f *fakeKeeper) Load() (Kept, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clone(f.kept), nil
}

func (*fakeKeeper) clone(k Kept) Kept {
	n := Kept{Time: k.Time, Keychains: make(map[string]*keychain.Keychain)}
	for name, c := range k.Keychains {
		n.Keychains[name] = c.Clone()
	}
	return n
}

func (f *fakeKeeper) Save(k Kept) error {
	time.Sleep(f.takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saves++
	if f.err == nil {
		f.kept = f.clone(k)
	}
	return f.err
}

// has lists what is kept, as "name: ckn ckn".
func (f *fakeKeeper) has() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, c := range f.kept.Keychains {
		text := name + ":"
		for _, k := range c.Keys {
			text += " " + k.CKN.String()
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

func (f *fakeKeeper) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.saves
}

func (f *fakeKeeper) at() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept.Time
}
