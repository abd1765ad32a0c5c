// Package watch shows a status as a table that is redrawn: View.Lines makes the
// lines of two samples, with rates from the difference of their counters, Block
// and Frame make text of them, for a file and for a terminal of a size, and
// Screen is that terminal.
package watch

import (
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// Sample is a status, and when it was read.
type Sample struct {
	Status status.Status
	At     time.Time
}

// View is what is shown at one time.
type View struct {
	// Last is the newest sample; nil: there is none yet.
	Last *Sample
	// Before is the sample that rates are counted from; nil: there are none.
	Before *Sample
	// Lost is why there was no answer; nil: there was. Last is then of before.
	Lost error
	// Now is when it is shown.
	Now time.Time
}

// Next is the view after a sample.
func (v View) Next(s Sample) View {
	next := View{Last: &s, Now: s.At}
	if v.Lost == nil { // else the rates were those of the time of silence
		next.Before = v.Last
	}
	return next
}

// Lose is the view after a try, at now, that had no answer but err.
func (v View) Lose(err error, now time.Time) View {
	return View{Last: v.Last, Lost: err, Now: now}
}

// Tone is how a line is to be read.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Head       // names columns
	Alarm      // wants somebody to act
)

// Line is one line of a view.
type Line struct {
	Text string
	Tone Tone
}
