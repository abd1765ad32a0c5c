// Package clock tells the wall clock, and whether somebody keeps it right.
package clock

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
)

// Clock is the wall clock, watched for being set. The zero value is ready; it
// is for one goroutine.
type Clock struct {
	first   offset
	stepped bool
	kept    bool      // somebody keeps it,
	asked   time.Time // as was found out then
}

// fresh is for how long it is believed that somebody keeps the clock, or nobody: a look
// at the machine wants the time more than once, and the broker takes a connection or two
// each time.
const fresh = time.Second

// Now is the wall clock, and whether somebody keeps it or has set it: a time
// server or a host, by what the kernel has been told (adjtimex(2)), or anyone
// who stepped it since the first call (date -s, timedatectl set-time), be it to
// what it was already. It is false for the first minutes of most machines, and
// for ever of one without a time server whose clock nobody sets.
func (c *Clock) Now() (now time.Time, set bool) {
	if o, ok := read(); ok {
		c.see(o)
	}
	if time.Since(c.asked) >= fresh {
		// By the broker if there is one: a daemon that can be kept from setting the
		// clock cannot read that either.
		c.kept, c.asked = probe.ClockSync.Ask().OK, time.Now()
	}
	return time.Now(), c.stepped || c.kept
}

// least is less than any hand sets a clock by: commands set whole seconds.
const least = time.Millisecond

// offset bounds by how much the wall clock is ahead of the time since the boot.
// Slewing moves both, and a suspended machine's sleep is in both, so that only a
// step of the wall clock changes it.
type offset struct{ low, high time.Duration }

// read reads the clocks: what is between two readings of one widens the bounds.
func read() (offset, bool) {
	var before, wall, after unix.Timespec
	for _, r := range []struct {
		id int32
		to *unix.Timespec
	}{{unix.CLOCK_BOOTTIME, &before}, {unix.CLOCK_REALTIME, &wall}, {unix.CLOCK_BOOTTIME, &after}} {
		if unix.ClockGettime(r.id, r.to) != nil {
			return offset{}, false
		}
	}
	return offset{time.Duration(wall.Nano() - after.Nano()), time.Duration(wall.Nano() - before.Nano())}, true
}

// see holds an offset against the first.
func (c *Clock) see(o offset) {
	if c.first == (offset{}) {
		c.first = o
	}
	c.stepped = c.stepped || o.low > c.first.high+least || o.high < c.first.low-least
}
