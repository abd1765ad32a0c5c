package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/keymgmt/sealed/tpm"
)

// A TPM that takes commands and answers none is told in time, to Load as what
// may yet answer, and nothing less takes its place.
func TestKeeperTPMHangs(t *testing.T) {
	for name, with := range map[string]string{"configured": sealed.WithTPM, "auto": ""} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "keeper") // a socket's path is short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			path := filepath.Join(dir, "tpm")
			l, err := net.Listen("unix", path) // connections wait to be accepted
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			const patience = 50 * time.Millisecond
			k := &keeper{log: slog.New(slog.DiscardHandler), options: sealed.Options{With: with, StateDir: dir, Device: path, Patience: patience}}
			for range 2 {
				_, err := k.Load()
				if !errors.Is(err, reconcile.ErrLater) || !errors.Is(err, tpm.ErrHangs) || !strings.Contains(err.Error(), "power the machine off and on") {
					t.Errorf("Load: %v", err)
				}
				if err := k.Save(reconcile.Kept{}); !errors.Is(err, tpm.ErrHangs) {
					t.Errorf("Save: %v", err)
				}
			}
			for _, name := range sealed.Slots {
				if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
					t.Errorf("%s is there", name)
				}
			}
		})
	}
}
