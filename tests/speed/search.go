package main

import "math"

const (
	// mayLose is the loss up to which a rate counts as carried.
	mayLose = 0.001
	// mayQueue is how much of a trial may stand in queues at its end. More is
	// a receiver that does not keep up, whose buffer hid the loss.
	mayQueue = 0.02
	// trials is the most that a search takes, and within how close it comes.
	trials = 10
	within = 1.05
)

func (t trial) carried() bool { return t.lost <= mayLose && t.behind <= mayQueue }

// highest searches the highest rate, in packets/s, that is carried. try sends
// at a rate; at 0 as fast as the sender can. The answer is what the receiver
// got in the best trial; 0 if no trial was carried.
//
// A rate is given up only when it fails twice in a row, so that one hiccup of
// the machine does not decide.
func highest(try func(rate float64) (trial, error)) (float64, error) {
	t, err := try(0)
	if err != nil {
		return 0, err
	}
	if t.carried() {
		return t.received, nil
	}
	// What comes through a flood is a first guess, often a low one.
	low, high := 0.0, t.sent
	next := min(max(t.received, high/50), high*0.95)
	best, again := 0.0, false
	for range trials - 1 {
		if low > 0 && high/low <= within {
			break
		}
		t, err := try(next)
		if err != nil {
			return 0, err
		}
		switch {
		case t.carried():
			best = max(best, t.received)
			low, again = next, false
		case !again:
			again = true
			continue
		default:
			high, again = next, false
		}
		if low > 0 {
			// The first guess is rarely off by a factor: a bold step up would
			// cost two trials.
			next = min(math.Sqrt(low*high), 1.5*low)
		} else {
			next = high / 2
		}
	}
	return best, nil
}
