package rollover

import (
	"slices"
	"time"
)

const (
	// RejectAfter is how long a session lasts (WireGuard: REJECT_AFTER_TIME).
	RejectAfter = 180 * time.Second
	// GiveUp is how long a new PSK is tried before the old one is put back.
	GiveUp = 50 * time.Second

	// renew is when a session should have a successor: 120 s (REKEY_AFTER_TIME)
	// and one failed try.
	renew = 126 * time.Second
	// Ages of a session from which on both ends go by its age.
	agePreferred, ageBefore, ageLast = 135 * time.Second, 150 * time.Second, 165 * time.Second
	// Between these ages whoever holds tries the new PSK: for one handshake that
	// a session of 120 s begins itself, and two that are forced.
	ageTry, ageTried = 110 * time.Second, 122 * time.Second
	// sure is how long after a change of PSK a handshake may have been made
	// under the former one: whoever answers one hears of its end a round trip
	// later.
	sure = 500 * time.Millisecond
	// retry is just over REKEY_TIMEOUT: a handshake asked for earlier is not
	// begun.
	retry = 5500 * time.Millisecond
	// follow is how much later the other end begins a handshake, if the leader has
	// not made one by then: it has tried twice.
	follow = 12 * time.Second
	// listen is how long a turn has for itself before the second device opens.
	listen = 8 * time.Second
	// dwell is how long the leader keeps a PSK with no session: two handshakes.
	dwell = 12 * time.Second
	// look is how often a turn looks for its handshake.
	look = 200 * time.Millisecond
	// seldom is how often after long, with no session.
	seldom, long = time.Second, 30 * time.Second
)

// Nobody is the name of no PSK: one that nobody has is to be set, so that no
// handshake succeeds.
const Nobody = "\x00nobody"

// Phase is where a link is with its PSK.
type Phase uint8

// The phases; the package says what they are.
const (
	Settled Phase = iota
	Turning
	Holding
)

func (p Phase) String() string {
	switch p {
	case Settled:
		return "settled"
	case Turning:
		return "turning"
	case Holding:
		return "holding"
	}
	return "?"
}

// Second is what the second device does.
type Second uint8

const (
	Closed Second = iota
	Listening
	Calling // it begins handshakes too
)

func (s Second) String() string {
	switch s {
	case Closed:
		return "closed"
	case Listening:
		return "listening"
	case Calling:
		return "calling"
	}
	return "?"
}

// Keys are the PSKs that a link may have, by names that differ if their octets
// do. The empty name is the PSK of no octets, where no PSK is configured.
type Keys struct {
	// Usable are those inside their window, the preferred first.
	Usable []string
	// Lapsed are those that are not, and are kept while they carry. What is in none
	// of the lists carries what its session lasts, and no handshake is made under
	// it.
	Lapsed []string
	// Cut are those that may not carry any more.
	Cut []string
}

// Facts are what is seen at one moment. Times are on one monotonic clock; the
// zero time is a handshake that there was none of.
type Facts struct {
	Now       time.Time
	Handshake time.Time // the newest of the device
	Second    time.Time // the newest of the second device, since it was opened
}

// Orders are what is to be so now.
type Orders struct {
	Set string // the device's PSK, by name
	// Drop ends the session, whose PSK may not carry any more. Once.
	Drop   bool
	Second Second
	// SecondPSK is the second device's, for good while it is not Closed.
	SecondPSK string
	// Handshake begins one now. What a kernel does not begin it leaves.
	Handshake bool
	// Next is when to step again at the latest.
	Next time.Time
}

// Link is one peer of one device.
type Link struct {
	forced, leader bool

	keys  Keys
	phase Phase
	began time.Time // the turn
	start time.Time // the first step

	carried string // under which the last handshake was made
	known   bool   // carried is
	seen    time.Time

	set      string
	setAt    time.Time // zero: nothing was set yet
	before   string    // what was set before, from beforeAt on
	beforeAt time.Time

	proven     bool // the other end has it, says the second device
	secondOpen time.Time
	owed       time.Time // a handshake newer than this is wanted
	asked      time.Time // when one was last begun here
	drop       bool
	fresh      bool // no handshake can be of a PSK before the one that is set
}

// New returns the link of a peer with no PSK chosen yet. forced: a handshake is
// begun when it is asked for. leader: this end's public key is the lesser.
func New(forced, leader bool) *Link {
	return &Link{forced: forced, leader: leader, fresh: true}
}

// Adopt says that the device had a PSK and a session before the first step.
func (l *Link) Adopt(name string) {
	l.fresh = false
	l.set, l.carried, l.known = name, name, true
}

// Forced and Leads are as New was told.
func (l *Link) Forced() bool { return l.forced }
func (l *Link) Leads() bool  { return l.leader }

// Phase tells where the link is, and since when if it is not Settled.
func (l *Link) Phase() (Phase, time.Time) { return l.phase, l.began }

// Carried is the PSK under which the last handshake was made; false if there
// was none.
func (l *Link) Carried() (string, bool) { return l.carried, l.known }

// Wanted is the PSK that the link is to have in the end.
func (l *Link) Wanted() string { return l.want() }

// Needs tells whether the PSK may be asked for yet; all others can be forgotten.
func (l *Link) Needs(name string) bool {
	return name == l.set || name == l.want() || l.known && name == l.carried || slices.Contains(l.keys.Usable, name)
}

// SetKeys replaces the keys at now.
func (l *Link) SetKeys(k Keys, now time.Time) {
	old, had := l.want(), !l.start.IsZero()
	l.keys = Keys{slices.Clone(k.Usable), slices.Clone(k.Lapsed), slices.Clone(k.Cut)}
	cut := func(name string) bool { return slices.Contains(k.Cut, name) }
	if l.known && cut(l.carried) || !l.known && had && (cut(l.set) || cut(l.before)) {
		l.known, l.carried, l.drop = false, "", true
	}
	want := l.want()
	switch {
	case had && want == old && !l.drop:
	case l.known && want == l.carried && l.set == want:
		l.phase = Settled
	default:
		l.turn(now)
	}
	if !had {
		l.start = now
	}
}

// turn begins a turn to what is wanted now.
func (l *Link) turn(now time.Time) {
	l.phase, l.began, l.owed = Turning, now, now
	l.proven, l.secondOpen = false, time.Time{}
}

// want is the PSK to come to in the end.
func (l *Link) want() string {
	switch {
	case len(l.keys.Usable) > 0:
		return l.keys.Usable[0]
	case l.known && l.may(l.carried):
		return l.carried
	}
	return Nobody
}

// may tells whether handshakes may be made under the PSK.
func (l *Link) may(name string) bool {
	return l.start.IsZero() || slices.Contains(l.keys.Usable, name) || slices.Contains(l.keys.Lapsed, name)
}

// Valid tells whether the last handshake was made under a PSK that the link may
// have: not if that has left the keys since, or there was none before them.
func (l *Link) Valid() bool { return !l.known || l.may(l.carried) }

// fallback is the PSK to try if the wanted one fails: the one that carries,
// else the next best.
func (l *Link) fallback() (string, bool) {
	want := l.want()
	if l.known && l.carried != want && l.may(l.carried) {
		return l.carried, true
	}
	for _, k := range l.keys.Usable {
		if k != want {
			return k, true
		}
	}
	return "", false
}
