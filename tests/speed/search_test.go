package main

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// road carries up to capacity, and loses what is above; a flood leaves it
// flooded. Its sender reaches no more than reach.
type road struct{ capacity, flooded, reach float64 }

func (l road) send(rate float64) trial {
	if rate == 0 || rate > l.reach {
		rate = l.reach
	}
	if rate <= l.capacity {
		return trial{sent: rate, received: rate}
	}
	got := l.capacity - (l.capacity-l.flooded)*min(1, rate/l.capacity-1)
	return trial{sent: rate, received: got, lost: 1 - got/rate, behind: 1 - got/rate}
}

func TestHighest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := road{reach: rapid.Float64Range(1e4, 1e6).Draw(t, "reach")}
		l.capacity = l.reach * rapid.Float64Range(0.05, 1.2).Draw(t, "capacity")
		l.flooded = l.capacity * rapid.Float64Range(0.5, 1).Draw(t, "flooded")
		hiccup := rapid.IntRange(0, 3*trials).Draw(t, "hiccup") // the trial that fails for no reason
		n := 0
		got, err := highest(func(rate float64) (trial, error) {
			n++
			s := l.send(rate)
			if n == hiccup {
				s.lost = 0.5
			}
			return s, nil
		})
		want := min(l.capacity, l.reach)
		if err != nil || n > trials || got > want || got < 0.85*want {
			t.Fatalf("%+v: %v after %d trials, %v; want %v", l, got, n, err, want)
		}
	})
}

func TestHighestOfNothing(t *testing.T) {
	n := 0
	got, err := highest(func(rate float64) (trial, error) {
		n++
		if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
			t.Errorf("trial %d at rate %v", n, rate)
		}
		return trial{sent: 1e5, lost: 1, behind: 1}, nil
	})
	if got != 0 || err != nil || n != trials {
		t.Errorf("%v after %d trials, %v", got, n, err)
	}
	broken := errors.New("broken")
	if _, err := highest(func(float64) (trial, error) { return trial{}, broken }); err != broken {
		t.Errorf("error of a trial: %v", err)
	}
}
