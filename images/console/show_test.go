package console

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/provision"
	"github.com/linkseal/linkseal/images/provision/bundle"
)

// buffer is a serial line.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.text.String()
	b.text.Reset()
	return s
}

// A serial line gets the whole, then what changes, and else nothing for an hour.
func TestShowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out buffer
		var now atomic.Pointer[State]
		now.Store(states["no-peer"])
		done := make(chan error)
		go func() { done <- Show(ctx, &out, func(context.Context) *State { return now.Load() }) }()
		time.Sleep(time.Second)
		if got := out.take(); !strings.Contains(got, "no MKPDU received") || !strings.Contains(got, "Network") {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Hour)
		if got := out.take(); got != "" {
			t.Errorf("nothing changed, yet %q", got)
		}
		now.Store(states["no-carrier"])
		time.Sleep(look)
		if got := out.take(); !strings.Contains(got, "has no carrier") || strings.Contains(got, "Network") {
			t.Errorf("%q", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func machine(t *testing.T, answer func() (status.Status, error)) *Machine {
	return &Machine{Version: "0.1.0", Root: t.TempDir(), Status: func(context.Context) (status.Status, error) { return answer() },
		Wrong: func() []string { return []string{"linkseal.yaml:1:1: wrong"} }, Boot: func() Boot { return Boot{Slot: "b", SecureBoot: "off"} }}
}

func put(t *testing.T, m *Machine, path, text string) {
	t.Helper()
	path = filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever is missing or broken, there is something to show, and what is broken
// is told.
func TestGather(t *testing.T) {
	away := func() (status.Status, error) { return status.Status{}, errors.New("no daemon answers") }
	m := machine(t, func() (status.Status, error) { t.Error("asked without a configuration"); return away() })
	s := m.Gather(t.Context(), now)
	if s.Config || s.SSH || s.Status != nil || len(s.Faults) != 0 || s.Slot != "b" {
		t.Errorf("%+v", s)
	}
	m = machine(t, away)
	put(t, m, bundle.Config, "x")
	put(t, m, bundle.AuthorizedKeys, "x")
	put(t, m, "/etc/os-release", "ID=linkseal\nIMAGE_VERSION=\"20261126.1\"\n")
	put(t, m, provision.ReportFile, "{")
	put(t, m, "/var/lib/linkseal-image/provision/provisioned.json", "not JSON")
	if s = m.Gather(t.Context(), now); !s.Starting || len(s.Wrong) != 0 {
		t.Errorf("%+v", s)
	}
	s = m.Gather(t.Context(), now.Add(starting))
	if !s.Config || !s.SSH || s.Starting || s.Image != "20261126.1" || s.NoStatus != "no daemon answers" || len(s.Wrong) != 1 || len(s.Faults) != 2 {
		t.Errorf("%+v", s)
	}
	text := strings.Join(Lines(s.Sections()), "\n")
	for _, want := range []string{"fault     what was provisioned:", "fault     what became of media:", "linkseal.yaml:1:1: wrong"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	m = machine(t, func() (status.Status, error) { return status.Status{Ports: []status.Port{{Name: "half"}}}, nil })
	put(t, m, bundle.Config, "x")
	if s = m.Gather(t.Context(), now); s.Status == nil || !strings.Contains(strings.Join(Lines(s.Sections()), "\n"), "the daemon does not say") {
		t.Errorf("%+v", s)
	}
}

// A daemon that is busy is shown as it was, one that is gone is not.
func TestBusy(t *testing.T) {
	var err error
	m := machine(t, func() (status.Status, error) { return status.Status{Name: "x"}, err })
	put(t, m, bundle.Config, "x")
	if s := m.Gather(t.Context(), now); s.Status == nil {
		t.Error("no status")
	}
	err = context.DeadlineExceeded
	if s := m.Gather(t.Context(), now.Add(slow-1)); s.Status == nil || s.Status.Name != "x" {
		t.Error("it was there a moment ago")
	}
	if s := m.Gather(t.Context(), now.Add(slow)); s.Status != nil || !s.Starting {
		t.Errorf("%+v", s)
	}
	if s := m.Gather(t.Context(), now.Add(slow+starting)); s.Status != nil || s.Starting || len(s.Wrong) != 1 {
		t.Errorf("%+v", s)
	}
	err = nil
	m.Gather(t.Context(), now)
	err = status.ErrNoDaemon
	if s := m.Gather(t.Context(), now.Add(time.Second)); s.Status != nil {
		t.Error("it is gone")
	}
}
