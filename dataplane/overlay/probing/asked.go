package probing

import (
	"fmt"
	"time"
)

// asked are the last requests, the newest last.
type asked struct {
	requests []request
	row      int // unanswered, in a row, before the newest
	rtt      time.Duration
}

type request struct {
	seq      uint16
	at       time.Time
	answered bool
}

// send begins a request; the one before it is lost if it has no answer yet.
func (a *asked) send(seq uint16, now time.Time) {
	if n := len(a.requests); n > 0 {
		if a.requests[n-1].answered {
			a.row = 0
		} else {
			a.row++
		}
	}
	if len(a.requests) == window+1 {
		a.requests = append(a.requests[:0], a.requests[1:]...)
	}
	a.requests = append(a.requests, request{seq: seq, at: now})
}

// reply takes an answer; false to one that was not asked for, or answered.
func (a *asked) reply(seq uint16, now time.Time) bool {
	for i := range a.requests {
		r := &a.requests[i]
		if r.seq == seq && !r.answered {
			r.answered, a.rtt, a.row = true, now.Sub(r.at), 0
			return true
		}
	}
	return false
}

// result is what it comes to; err is why the newest could not be sent.
func (a *asked) result(lost int, err error) Result {
	r := Result{RTT: a.rtt}
	if err != nil {
		r.Problem = fmt.Sprintf("the probe cannot be sent: %v", err)
	}
	past := a.requests
	row := a.row
	if n := len(past); n > 0 && !past[n-1].answered {
		if err == nil {
			past = past[:n-1] // it may be answered yet
		} else {
			row++
		}
	}
	gone := 0
	for _, q := range past {
		if !q.answered {
			gone++
		}
	}
	if len(past) > 0 {
		r.Lost = float64(gone) / float64(len(past))
	}
	r.Answered = row < lost
	return r
}
