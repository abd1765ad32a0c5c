package main

import (
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
)

// A pair that is still being sealed is unsealed to a rotation, without an alarm.
func TestViewUnsealed(t *testing.T) {
	if v := viewOf(status.Status{Unsealed: "not yet"}, "k1"); v.Unsealed != "not yet" {
		t.Errorf("unsealed is %q", v.Unsealed)
	}
}
