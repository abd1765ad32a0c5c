package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNow(t *testing.T) {
	var c Clock
	c.Now()
	now, set := c.Now()
	if d := time.Since(now); d < 0 || d > time.Minute {
		t.Errorf("now is %v", now)
	}
	var x unix.Timex
	if _, err := unix.Adjtimex(&x); err != nil {
		t.Fatal(err)
	}
	if set && !c.stepped && x.Status&unix.STA_UNSYNC != 0 {
		t.Error("a clock that the kernel calls unsynchronised is trusted")
	}
	if c.first.low > c.first.high || c.first.low == 0 {
		t.Errorf("offset %+v", c.first)
	}
	// As if the clock had been set between the calls.
	c.first.low, c.first.high = c.first.low+time.Second, c.first.high+time.Second
	if _, set := c.Now(); !set {
		t.Error("a clock that was set back by a second counts as set by nobody")
	}
}

// A step counts, either way and for good; a reading that was held up does not.
func TestStep(t *testing.T) {
	const year = 365 * 24 * time.Hour
	at := func(d, held time.Duration) offset { return offset{40*year + d - held, 40*year + d} }
	for name, c := range map[string]struct {
		seen []offset
		want bool
	}{
		"nothing":           {[]offset{at(0, time.Microsecond), at(0, time.Microsecond)}, false},
		"held up":           {[]offset{at(0, time.Microsecond), at(time.Second, 2*time.Second), at(0, time.Second)}, false},
		"first held up":     {[]offset{at(0, time.Second), at(0, time.Microsecond)}, false},
		"a second forward":  {[]offset{at(0, 0), at(time.Second, 0)}, true},
		"half a second":     {[]offset{at(0, 0), at(-time.Second/2, 0)}, true},
		"a year back":       {[]offset{at(0, 0), at(-year, 0)}, true},
		"there and back":    {[]offset{at(0, 0), at(year, 0), at(0, 0)}, true},
		"a leap of reading": {[]offset{at(0, 0), at(least/2, 0)}, false},
	} {
		var k Clock
		for _, o := range c.seen {
			k.see(o)
		}
		if k.stepped != c.want {
			t.Errorf("%s: stepped is %t", name, k.stepped)
		}
	}
}
