package console

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linkseal/linkseal/images/update"
)

// The EFI system partition is asked when something may have changed, and not every
// minute of a year.
func TestBootsAsksSeldom(t *testing.T) {
	state := t.TempDir()
	b := &Boots{Machine: &update.Machine{Sys: t.TempDir(), State: state, Release: filepath.Join(t.TempDir(), "none")}}
	asked := func(after time.Duration) bool {
		b.at = time.Now().Add(-after)
		before := b.at
		b.Now()
		return b.at != before
	}
	if b.Now(); b.at.IsZero() {
		t.Fatal("it was never asked")
	}
	b.last = Boot{Slot: "a", SecureBoot: "on"}
	if asked(2 * time.Minute) {
		t.Error("asked after two minutes in which nothing was installed")
	}
	if err := os.WriteFile(filepath.Join(state, "update.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if asked(30*time.Second) || !asked(2*time.Minute) {
		t.Error("an install began: asked within half a minute, or not within two")
	}
	b.last = Boot{Slot: "a", SecureBoot: "on"}
	if asked(2 * time.Minute) {
		t.Error("asked again for the same install")
	}
	b.last.Trial = "waits for a reboot"
	if !asked(2 * time.Minute) {
		t.Error("not asked while an update is under way")
	}
	b.last = Boot{Slot: "a", SecureBoot: "on"}
	if !asked(late + time.Minute) {
		t.Error("never asked again")
	}
}
