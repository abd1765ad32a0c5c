package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNow(t *testing.T) {
	now, set := Now()
	if d := time.Since(now); d < 0 || d > time.Minute {
		t.Errorf("now is %v", now)
	}
	var x unix.Timex
	if _, err := unix.Adjtimex(&x); err != nil {
		t.Fatal(err)
	}
	if set && x.Status&unix.STA_UNSYNC != 0 {
		t.Error("a clock that the kernel calls unsynchronised is trusted")
	}
}
