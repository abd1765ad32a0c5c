package wireguard

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// link is one peer of one member.
type link struct {
	configured
	roll *rollover.Link
	keys ring
	told bool // its PSKs, if it is to have any

	adopted bool // the device had it, with a PSK that is not known yet
	orders  rollover.Orders
	drops   int
	turned  int // how often the configured endpoint was tried again

	at, second stamp
	last       reading
	seen       time.Time // of last
	lostAt     time.Time // since when it is not live
	quiet      time.Time // until then it begins no handshake by itself
	refused    uint64    // of last, when there was a session; one more is a handshake that crossed another
}

func newLink(c configured, forces bool, own identity.Public, now time.Time) *link {
	l := &link{configured: c}
	l.roll = rollover.New(forces, bytes.Compare(own[:], c.public[:]) < 0)
	l.wait(now)
	if c.keychain == "" {
		l.none(now)
	}
	return l
}

// wait lets the other end begin, if it leads: ends that start together, as both
// do at a time that is configured, would void each other's handshakes, and with
// bad luck be in two sessions until either finds out.
func (l *link) wait(now time.Time) {
	if !l.roll.Leads() {
		l.quiet = now.Add(yield)
	}
}

// yield is how long. It is a few round trips.
const yield = 500 * time.Millisecond

// none is what a peer without a keychain is told: to have no PSK. One that it had
// carries until the other end has none either.
func (l *link) none(now time.Time) {
	l.told = true
	l.roll.SetKeys(rollover.Keys{Usable: []string{""}, Lapsed: l.keys.all()}, now)
}

// adopt takes over a peer of the device's, whose PSK this is; nil is none.
func (l *link) adopt(psk *secret.Key, now time.Time) {
	name := ""
	if psk != nil {
		name = l.keys.add("", psk)
		psk.Zero()
	}
	l.adopted = true
	l.roll = rollover.New(l.roll.Forced(), l.roll.Leads())
	l.roll.Adopt(name)
	l.orders.Set = name
	if l.keychain == "" {
		l.none(now)
	}
}

func (l *link) setPSKs(s keychain.PSKSelection, now time.Time) {
	if l.keychain == "" {
		return
	}
	l.told = true
	l.roll.SetKeys(l.keys.take(s), now)
}

// see takes what the device says of the peer.
func (l *link) see(r reading, now time.Time) {
	l.last, l.seen = r, now
	l.at.see(r.handshake, now)
	switch {
	case l.session(now):
		l.lostAt, l.refused = time.Time{}, r.refused
	case l.lostAt.IsZero():
		l.lostAt = now
		// It may have roamed to where it is not any more, or, if it was found, be
		// configured to be elsewhere by now.
		if l.endpoint.IsValid() && r.endpoint.IsValid() && r.endpoint != l.endpoint {
			l.turned++
		}
	}
}

// session tells whether there is one.
func (l *link) session(now time.Time) bool {
	return !l.at.mono.IsZero() && now.Sub(l.at.mono) < rollover.RejectAfter
}

// secured tells whether there is one under a PSK that the keychain has.
func (l *link) secured(now time.Time) bool { return l.session(now) && l.roll.Valid() }

// step decides what is to be.
func (l *link) step(now time.Time) {
	if !l.told {
		l.orders = rollover.Orders{Set: l.orders.Set, Next: now.Add(time.Minute)}
		return
	}
	l.orders = l.roll.Step(rollover.Facts{Now: now, Handshake: l.at.mono, Second: l.second.mono})
	if l.orders.Drop {
		l.drop(now)
	}
}

// drop ends the session.
func (l *link) drop(now time.Time) {
	l.drops++
	l.wait(now)
}

// peer is what the device is to have; false if it is not to have the peer yet.
func (l *link) peer(now time.Time) (p peer, ok bool, err error) {
	p = peer{
		public: l.public, generation: l.drops, endpoint: l.endpoint, redirect: l.turned,
		keepalive: l.keepalive, allowed: l.allowed, name: l.orders.Set,
	}
	if now.Before(l.quiet) && !l.adopted {
		p.keepalive = 0
	}
	if !l.told {
		p.keep = true
		return p, l.adopted, nil
	}
	p.psk, err = l.keys.get(p.name)
	return p, err == nil, err
}

// forget zeroes the PSKs that are not needed any more.
func (l *link) forget() {
	if l.told {
		l.keys.forget(l.roll.Needs)
	}
}

// zero zeroes all.
func (l *link) zero() { l.keys.forget(func(string) bool { return false }) }

// remote is where the peer was last heard, else where it is configured to be.
func (l *link) remote() netip.AddrPort {
	if l.last.endpoint.IsValid() {
		return l.last.endpoint
	}
	return l.endpoint
}

// keyID names the PSK under which the last handshake was made.
func (l *link) keyID() string {
	if name, ok := l.roll.Carried(); ok {
		return l.keys.id(name)
	}
	return ""
}

// problem says what keeps the link from being live, or its PSK from changing.
func (l *link) problem(now time.Time) (what, remedy string) {
	phase, since := l.roll.Phase()
	who := "peer " + l.public.String()
	switch {
	case l.keys.problem != "":
		return l.keys.problem, "correct it in keychain " + l.keychain
	case !l.told:
		return who + ": the PSKs of keychain " + l.keychain + " are not known yet", "see the keychain's own problem"
	case l.session(now) && !l.roll.Valid():
		return fmt.Sprintf("%s: its session is under %s, and ends in %v: the other end does not take %s", who, l.former(), l.left(now), l.wanted()),
			"the PSK in its keychain too, with the same not_before"
	case l.roll.Wanted() == rollover.Nobody:
		return who + ": no PSK of keychain " + l.keychain + " is inside its window: nothing is sent", "add one, or correct not_before and expires; linkseal keys list shows them"
	case !l.session(now) && !l.roll.Valid():
		return fmt.Sprintf("%s: it does not take %s; the last session was under %s", who, l.wanted(), l.former()),
			"the PSK in its keychain too, with the same not_before; else it may be down, or UDP be blocked"
	case !l.session(now) && l.last.refused > l.refused+1:
		return who + ": it answers, and its answers do not verify: it has another PSK than ours", "the same PSK in both keychains"
	case !l.session(now) && !l.last.endpoint.IsValid() && !l.endpoint.IsValid():
		return who + ": it has not come yet, and no remote is configured", "start it; it needs our address and public key"
	case !l.session(now):
		return fmt.Sprintf("%s: no handshake with %s", who, l.remote()),
			"it may be down, UDP may be blocked, or one end does not have the other's public key; compare with public_key of both"
	case phase != rollover.Settled && now.Sub(since) >= rollover.GiveUp:
		return fmt.Sprintf("%s: the other end does not take PSK %q; it is on %q", who, l.keys.id(l.roll.Wanted()), l.keyID()),
			"the new PSK in its keychain too, with the same not_before; both clocks right"
	case len(l.keys.inside) == 0 && l.keychain != "":
		return fmt.Sprintf("%s: PSK %q is outside its window, and carries traffic until there is another", who, l.keyID()), "add one to keychain " + l.keychain
	}
	return "", ""
}

// former is the PSK of the last handshake in words, of a link that may not have it.
func (l *link) former() string {
	if name, _ := l.roll.Carried(); name == "" {
		return "no PSK, which keychain " + l.keychain + " demands"
	}
	return fmt.Sprintf("PSK %q, which is not in keychain %s any more", l.keyID(), l.keychain)
}

func (l *link) wanted() string {
	if l.roll.Wanted() == rollover.Nobody {
		return "anything: no PSK is inside its window here"
	}
	return fmt.Sprintf("PSK %q", l.keys.id(l.roll.Wanted()))
}

// left is how long the session lasts.
func (l *link) left(now time.Time) time.Duration {
	return (rollover.RejectAfter - now.Sub(l.at.mono)).Round(time.Second)
}
