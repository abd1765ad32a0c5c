package lab

import (
	"testing"
	"time"
)

// No more is sent than fits the queue of a daemon that stands still for 20 s,
// and what has come to life again is noticed.
func TestMayFollow(t *testing.T) {
	x := Traffic{window: 256}
	last := time.Duration(0)
	for at := time.Duration(0); at < 20*time.Second; at += time.Millisecond {
		if x.mayFollow(at - last) {
			x.sent, last = x.sent+1, at
		}
	}
	if x.sent < 256+190 || x.sent > 500 {
		t.Errorf("%d are sent in 20 s while none is answered", x.sent)
	}
	x.latest = x.sent - 255
	if !x.mayFollow(0) {
		t.Error("what is answered is held up")
	}
}
