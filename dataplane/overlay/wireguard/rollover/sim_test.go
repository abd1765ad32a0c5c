package rollover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// tick is the model's step.
const tick = 100 * time.Millisecond

// end is one end of the model: a WireGuard, and a linkseal over it or somebody
// with a clock and wg(8).
type end struct {
	name   string
	link   *Link // nil: plain
	change time.Duration
	keys   func(changed bool) Keys
	poll   time.Duration
	phase  time.Duration // within a tick: when the end does what it does
	forced bool
	other  *end

	told   int // of SetKeys: 0 nothing, 1 before the change, 2 after it
	psk    string
	looks  time.Duration
	second Second

	initiator bool
	created   time.Duration // of the session; under is its PSK
	under     string
	have      bool
	stamp     time.Duration // of the handshake, as a device tells it
	sent      time.Duration // the last handshake message
	again     time.Duration // a retry
	call      *call         // the own handshake under way
	secondAt  time.Duration // the last handshake of the second device
	lastTold  string
}

// call is a handshake under way.
type call struct {
	from     *end
	at       time.Duration // the next message arrives
	step     int           // 1: at the other end; 2: back; 3: confirmed
	response string        // the PSK that the response was made with
	void     bool
	created  time.Duration
}

type world struct {
	rng    *rand.Rand
	ends   [2]*end
	rtt    time.Duration
	closed bool // the second ports
	down   func(time.Duration) bool
	calls  []*call
	now    time.Duration
	story  strings.Builder
	tell   bool
	lost   []string
}

func at(d time.Duration) time.Time { return t0.Add(d) }

func (w *world) log(e *end, format string, args ...any) {
	if w.tell {
		fmt.Fprintf(&w.story, "%6.1f %s %s\n", w.now.Seconds(), e.name, fmt.Sprintf(format, args...))
	}
}

// session gives both ends one of that age, of e's making.
func (w *world) session(e *end, age time.Duration, psk string) {
	for _, x := range w.ends {
		x.have, x.created, x.stamp, x.under, x.initiator, x.psk = true, -age, -age, psk, x == e, psk
		x.sent = -age
		if x.link != nil {
			x.link.Adopt(psk)
		}
	}
}

func (w *world) run(until time.Duration) {
	for ; w.now < until; w.now += tick {
		w.deliver()
		for _, e := range w.ends {
			w.step(e)
			w.traffic(e)
		}
		for _, e := range w.ends {
			if e.have && w.now-e.created >= RejectAfter {
				e.have = false
				w.lost = append(w.lost, fmt.Sprintf("%.1f %s: the session has ended", w.now.Seconds(), e.name))
				w.log(e, "lost its session")
			}
		}
	}
}

// step lets the end's owner look.
func (w *world) step(e *end) {
	changed := w.now >= e.change
	if e.link == nil {
		if k := e.keys(changed).Usable[0]; e.psk != k {
			e.psk = k
			w.log(e, "has %s", k)
		}
		return
	}
	if t := 1; w.now < e.looks && (!changed || e.told == 2) {
		return
	} else if changed {
		if t = 2; e.told != t {
			e.told = t
			e.link.SetKeys(e.keys(true), at(w.now))
		}
	} else if e.told == 0 {
		e.told = t
		e.link.SetKeys(e.keys(false), at(w.now))
	}
	f := Facts{Now: at(w.now)}
	if e.stamp != 0 {
		f.Handshake = at(e.stamp)
	}
	if e.secondAt != 0 {
		f.Second = at(e.secondAt)
	}
	o := e.link.Step(f)
	e.looks = w.now + e.poll
	if o.Second == Closed {
		e.secondAt = 0
	}
	if o.Drop {
		e.have, e.call = false, nil
	}
	e.psk, e.second = o.Set, o.Second
	phase, _ := e.link.Phase()
	if told := fmt.Sprintf("has %s, %s, second %s", o.Set, phase, o.Second); told != e.lastTold {
		e.lastTold = told
		w.log(e, "%s", told)
	}
	if o.Handshake && e.forced {
		w.begin(e)
	}
	if o.Second == Calling && e.secondAt == 0 && e.other.link != nil && e.other.second != Closed && !w.closed && !w.off() && w.now%(5*time.Second) < e.poll {
		e.secondAt, e.other.secondAt = w.now, w.now
		w.log(e, "is answered on the second port")
	}
}

// traffic is sent at all times: with it a session of the end's own making that
// is 120 s old is renewed, and where there is none one is made. A retry is for
// what nothing is sent of.
func (w *world) traffic(e *end) {
	switch {
	case !e.have, e.initiator && w.now-e.created >= 120*time.Second:
		w.begin(e)
	case e.again != 0 && w.now >= e.again:
		e.again = 0
		w.begin(e)
	}
}

func (w *world) off() bool { return w.down != nil && w.down(w.now) }

func (w *world) begin(e *end) {
	if w.now-e.sent < 5*time.Second {
		return
	}
	e.sent = w.now + e.phase
	e.again = w.now + 5*time.Second + time.Duration(w.rng.IntN(334))*time.Millisecond
	if w.off() {
		return
	}
	e.call = &call{from: e, at: e.sent + w.rtt/2, step: 1}
	w.calls = append(w.calls, e.call)
}

func (w *world) deliver() {
	end := w.now
	for {
		var first *call
		for _, c := range w.calls {
			if c.at <= end && (first == nil || c.at < first.at) {
				first = c
			}
		}
		if first == nil {
			break
		}
		w.now = first.at
		if w.message(first); first.void || first.step > 3 {
			w.calls = slices.DeleteFunc(w.calls, func(c *call) bool { return c == first })
		}
	}
	w.now = end
}

func (w *world) message(c *call) {
	from, to := c.from, c.from.other
	switch c.step {
	case 1: // the initiation arrives and is answered
		to.call = nil // a handshake of its own is forgotten
		to.sent, c.response, c.created = w.now, to.psk, w.now
	case 2: // the response arrives
		// Whoever has nobody's PSK has one of its own.
		if from.call != c || c.response != from.psk || from.psk == Nobody {
			c.void = true
			return
		}
		from.call, from.again = nil, 0
		from.have, from.created, from.stamp, from.under, from.initiator = true, w.now, w.now, from.psk, true
		w.log(from, "made a session under %s", from.psk)
	case 3: // the first data arrives
		to.have, to.created, to.stamp, to.under, to.initiator = true, c.created, w.now, c.response, false
		to.again = 0
	}
	c.step++
	c.at += w.rtt / 2
}
