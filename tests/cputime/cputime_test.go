package cputime

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	const own = "42 (a) name) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 8 0 100 1 2"
	if got, err := parse([]byte(own)); err != nil || got != 2*time.Second {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "42", "42 (a) S 1 2", strings.Replace(own, "150", "x", 1), strings.Replace(own, "150", "-1", 1)} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestOf(t *testing.T) {
	if _, err := Of(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := Of(1 << 30); err == nil {
		t.Error("no such process: no error")
	}
}
