package ipsec

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/diagnose"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/early"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/linux/xfrm"
)

// member is one connection.
type member struct {
	n     int
	name  string // of the connection and its CHILD_SA
	iface string // "": none

	sas     []strongswan.IKESA
	finding diagnose.Finding // why it does not come up, or not anew
	at      time.Time        // of finding
	counts  counts

	next     time.Time // not before: the next start
	failures int
	started  time.Time // the attempt under way; zero: none

	rekeys uint64
	handed uint64 // packets that came before their SA and were handed over
	spent  uint32 // the CHILD_SA that was renewed for its volume
	proved bool   // keys could be renewed
	came   time.Time
	// kept: the kernel has SAs of a charon that is gone, which carry traffic
	// until this.
	kept    time.Time
	orphans []xfrm.SA    // these
	early   *early.Catch // while an IKE_SA is made anew; nil: not
	// old are IKE_SAs that the one replaces that is made anew; renewed is when it
	// was begun, and replaced since when it is there.
	old      []uint32
	renewed  time.Time
	replaced time.Time
	two      time.Time // since when there are two
	fitted   time.Time // when it was made anew as it was not as configured
	probe    *prober   // nil: none
	silent   time.Time // since when it is not answered
}

func newMember(t config.Tunnel, n int) *member {
	return &member{n: n, name: conn.Name(t.Name, n), iface: t.MemberInterface(n)}
}

const (
	// attempt is how long one start may take: charon gives up after 16 s of
	// silence.
	attempt    = 20 * time.Second
	minRestart = time.Second
	maxRestart = 30 * time.Second
	// proof is when keys are renewed for the first time, soon, to find out
	// whether they can be: a peer with another PFS is found by nothing else, and
	// would be found when the first keys end.
	proof = 20 * time.Second
)

// see takes what charon has of the member.
func (m *member) see(now time.Time, sas []strongswan.IKESA) {
	was := m.up()
	m.sas = sas
	m.counts.see(sas)
	switch up := m.up(); {
	case up && !was:
		m.came, m.proved = now, false
		m.failures, m.started = 0, time.Time{}
		m.kept = time.Time{}
	case up:
		m.started = time.Time{}
	case was:
		m.next = now // at once
	}
	if !m.up() && !m.started.IsZero() && !m.busy() && now.Sub(m.started) > minRestart {
		m.failed(now)
	}
}

// gone: charon is not there; what it had in the kernel may be.
func (m *member) gone() {
	m.sas, m.started, m.next = nil, time.Time{}, time.Time{}
	m.early.Close()
	m.early, m.old, m.two = nil, nil, time.Time{}
	m.counts.restart()
}

// failed plans the next start.
func (m *member) failed(now time.Time) {
	m.started = time.Time{}
	m.next = now.Add(min(minRestart<<min(m.failures, 8), maxRestart))
	m.failures++
}

// find takes why an attempt failed, and tells whether it is news.
func (m *member) find(now time.Time, f diagnose.Finding) bool {
	if f.Kind == diagnose.None {
		m.finding = diagnose.Finding{}
		return false
	}
	if m.up() && f.Kind == diagnose.NoAnswer {
		return false // DPD decides
	}
	// The other end's AUTHENTICATION_FAILED says less than what we found
	// ourselves a moment ago.
	if vague := f.Kind == diagnose.Authentication && m.finding.Here && now.Sub(m.at) < 2*maxRestart; vague {
		return false
	}
	news := m.finding != f
	m.finding, m.at = f, now
	return news
}

// child is the CHILD_SA that carries the traffic: the newest.
func (m *member) child() (ike strongswan.IKESA, child strongswan.ChildSA, ok bool) {
	for _, sa := range m.sas {
		for _, c := range sa.Children {
			if sa.Up() && c.Installed() && (!ok || c.ID > child.ID) {
				ike, child, ok = sa, c, true
			}
		}
	}
	return ike, child, ok
}

func (m *member) up() bool {
	_, _, ok := m.child()
	return ok
}

// live tells whether traffic passes.
func (m *member) live(now time.Time) bool { return (m.up() || now.Before(m.kept)) && m.answered() }

func (m *member) has(id uint32) bool {
	return slices.ContainsFunc(m.sas, func(sa strongswan.IKESA) bool { return sa.ID == id })
}

// busy tells whether charon is at it.
func (m *member) busy() bool {
	return slices.ContainsFunc(m.sas, func(sa strongswan.IKESA) bool {
		return sa.State == "CONNECTING" || slices.ContainsFunc(sa.Children, func(c strongswan.ChildSA) bool { return c.State == "CREATED" || c.State == "INSTALLING" })
	})
}

// counts are sums over all CHILD_SAs that were.
type counts struct {
	last                         map[uint32]strongswan.ChildSA
	rx, tx, rxPackets, txPackets uint64
}

func (c *counts) see(sas []strongswan.IKESA) {
	now := map[uint32]strongswan.ChildSA{}
	for _, sa := range sas {
		for _, child := range sa.Children {
			now[child.ID] = child
			was := c.last[child.ID] // zero: a new one
			c.rx += ahead(child.RxOctets, was.RxOctets)
			c.tx += ahead(child.TxOctets, was.TxOctets)
			c.rxPackets += ahead(child.RxPackets, was.RxPackets)
			c.txPackets += ahead(child.TxPackets, was.TxPackets)
		}
	}
	c.last = now
}

// restart: charon counts CHILD_SAs from 1 again.
func (c *counts) restart() { c.last = nil }

func ahead(now, was uint64) uint64 {
	if now < was {
		return 0
	}
	return now - was
}
