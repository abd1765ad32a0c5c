package rollover

import "time"

// Step looks at the facts. It is to be called at Next and may be called at any
// time; the orders are to be carried out before the next call.
func (l *Link) Step(f Facts) Orders {
	l.take(f)
	if l.phase == Turning && l.forced && !l.proven && l.alive(f.Now) && l.known && l.carried != l.want() && f.Now.Sub(l.began) >= GiveUp {
		l.hold(f.Now)
	}
	o := Orders{Drop: l.drop, SecondPSK: l.want()}
	dropped := l.drop
	l.drop = false
	o.Set = l.choose(f.Now)
	if o.Set != l.set || l.setAt.IsZero() {
		l.before, l.beforeAt = l.set, l.setAt
		l.fresh = l.fresh && l.setAt.IsZero()
		l.set, l.setAt = o.Set, f.Now
	}
	l.fresh = l.fresh || dropped
	o.Second = l.second(f.Now)
	if o.Second == Closed {
		l.secondOpen = time.Time{}
	} else if l.secondOpen.IsZero() {
		l.secondOpen = f.Now
	}
	o.Handshake = l.ask(f.Now)
	o.Next = l.next(f.Now)
	return o
}

// take learns from the handshakes that are new.
func (l *Link) take(f Facts) {
	if f.Handshake.After(l.seen) {
		l.seen = f.Handshake
		// Where it is not sure, it was rather the one that was just set than one
		// that had failed until then; but to end a turn it has to be.
		if under, ok := l.under(f.Handshake); ok || under != l.want() {
			l.carried, l.known = under, true
			switch {
			case under == l.want():
				l.phase, l.proven = Settled, false
			case l.phase == Turning && !l.proven && f.Handshake.After(l.began):
				l.hold(f.Now)
			}
		}
	}
	if l.phase != Settled && !l.proven && !l.secondOpen.IsZero() && !f.Second.Before(l.secondOpen) {
		l.proven, l.phase, l.owed = true, Turning, f.Now
	}
}

// under is the PSK that a handshake of that time was made under, and whether
// that is sure.
func (l *Link) under(at time.Time) (string, bool) {
	switch {
	case l.setAt.IsZero():
		// Nothing was set here yet: an adopted device's own.
		return l.carried, l.known
	case !at.Before(l.setAt.Add(sure)), l.fresh && !at.Before(l.setAt):
		return l.set, true
	case at.Before(l.setAt) && !l.beforeAt.IsZero() && !at.Before(l.beforeAt.Add(sure)):
		return l.before, true
	case at.Before(l.setAt) && l.beforeAt.IsZero() && l.known:
		return l.carried, true
	}
	return l.set, false
}

func (l *Link) hold(now time.Time) { l.phase, l.owed = Holding, now }

// alive tells whether there is a session.
func (l *Link) alive(now time.Time) bool {
	return !l.seen.IsZero() && now.Sub(l.seen) < RejectAfter
}

// choose is the PSK to have now.
func (l *Link) choose(now time.Time) string {
	want := l.want()
	other, ok := l.fallback()
	if !ok || want == Nobody {
		return want
	}
	if !l.alive(now) {
		return l.cycle(now)
	}
	switch age := now.Sub(l.seen); {
	case age < agePreferred && l.phase == Holding && !trying(age):
		return other
	case l.phase == Settled:
		if age >= ageLast {
			return other
		}
	case age >= ageBefore && age < ageLast:
		return other
	}
	return want
}

// trying is when whoever holds tries the new PSK.
func trying(age time.Duration) bool { return age >= ageTry && age < ageTried }

// cycle goes through all PSKs, with no session.
func (l *Link) cycle(now time.Time) string {
	list := make([]string, 0, len(l.keys.Usable)+1)
	list = append(list, l.want())
	if other, ok := l.fallback(); ok {
		list = append(list, other)
	}
	for _, k := range l.keys.Usable {
		if k != list[0] && (len(list) == 1 || k != list[1]) {
			list = append(list, k)
		}
	}
	since, keep := l.start, dwell
	if !l.seen.IsZero() && l.seen.Add(RejectAfter).After(since) {
		since = l.seen.Add(RejectAfter)
	}
	if l.phase == Turning && l.began.After(since) {
		since = l.began
	}
	if !l.leader {
		keep = time.Duration(len(list)+1) * dwell
	}
	return list[int(now.Sub(since)/keep)%len(list)]
}

// second is what the second device does now.
func (l *Link) second(now time.Time) Second {
	if l.phase == Settled || !l.known || l.carried == l.want() || l.want() == Nobody {
		return Closed
	}
	switch t := now.Sub(l.began); {
	case l.phase == Holding, l.proven, t >= GiveUp:
		return Calling
	case t >= listen:
		return Listening
	}
	return Closed
}

// needs tells whether a handshake is wanted.
func (l *Link) needs(now time.Time) bool {
	return l.want() != Nobody && (l.phase == Turning || l.seen.Before(l.owed) || now.Sub(l.seen) >= renew ||
		l.phase == Holding && trying(now.Sub(l.seen)))
}

// ask decides whether to begin a handshake now, and notes it.
func (l *Link) ask(now time.Time) bool {
	if !l.needs(now) || now.Before(l.due()) {
		return false
	}
	l.asked = now
	return true
}

// due is when the next handshake may begin: not so soon after a change that it
// would be unsure what it was made under.
func (l *Link) due() time.Time {
	from := l.setAt
	if l.proven && l.owed.After(from) {
		// The other end may have changed its own only now, and have the first try from
		// now on, however long this end's is set.
		from = l.owed
	}
	first := from.Add(sure + sure/5)
	if from.Equal(l.start) {
		first = from // there is nothing to take it for
	}
	if !l.leader {
		first = first.Add(follow)
	}
	if again := l.asked.Add(retry); !l.asked.IsZero() && again.After(first) {
		return again
	}
	return first
}

// next is when something changes by time alone.
func (l *Link) next(now time.Time) time.Time {
	if l.needs(now) || l.phase != Settled {
		if !l.alive(now) && now.Sub(l.began) > long {
			return now.Add(seldom)
		}
		return now.Add(look)
	}
	return l.seen.Add(renew)
}
