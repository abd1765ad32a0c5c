package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/overlaytest"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// world is a Reconciler between fakes. It runs in a synctest bubble: settled
// is when everything waits.
type world struct {
	alive   time.Duration // how often the service manager wants to hear
	t       *testing.T
	r       *Reconciler
	machine *fakeMachine
	sources map[string]*fakeSource
	log     syncBuffer
	stop    func()
	keeper  *fakeKeeper
	keep    Keeper     // nil: keeper
	vault   *fakeVault // nil: k1 is one of sources
	clock   func() (time.Time, bool)

	mu       sync.Mutex
	file     string // the configuration, for the next reload
	refuse   error  // what opening a session answers
	sessions []*fakeSession
	tunnels  []*overlaytest.Session
	notified []string
}

const header = "version: 1\nname: t\nkeychains:\n  k1: {source: file, path: /k1}\n  k2: {source: file, path: /k2}\nports:\n"

func portLine(name, device, extra string) string {
	return fmt.Sprintf("  - {name: %s, device: %s, interface: m%s, keychain: k1, addresses: [192.0.2.%c/30]%s}\n", name, device, device, device[len(device)-1], extra)
}

func (w *world) config() (*config.Config, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := config.Parse("t.yaml", w.file)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// keys makes a loader of a keychain with these CKNs, in one octet of hex, and
// CAKs of n octets.
func keys(n int, ckns ...byte) func() (*keychain.Keychain, error) {
	return func() (*keychain.Keychain, error) {
		c := &keychain.Keychain{}
		for _, ckn := range ckns {
			c.Keys = append(c.Keys, keychain.Key{CKN: keychain.CKN([]byte{ckn}), CAK: secret.New(bytes.Repeat([]byte{ckn}, n))})
		}
		return c, nil
	}
}

func failing(text string) func() (*keychain.Keychain, error) {
	return func() (*keychain.Keychain, error) { return nil, errors.New(text) }
}

// run runs test with a Reconciler for ports.
func run(t *testing.T, machine *fakeMachine, ports string, test func(*world)) {
	runWith(t, machine, ports, func(*world) {}, test)
}

// runWith is run with something done before the Reconciler starts.
func runWith(t *testing.T, machine *fakeMachine, ports string, before, test func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, machine: machine, file: header + ports,
			sources: map[string]*fakeSource{"k1": {load: keys(32, 0x11), tokens: make(chan struct{}, 1)}, "k2": {load: keys(32, 0x22), tokens: make(chan struct{}, 1)}}}
		w.keeper, w.clock = &fakeKeeper{}, func() (time.Time, bool) { return time.Now(), true }
		if before(w); w.keep == nil {
			w.keep = w.keeper
		}
		machine.tokens = make(chan struct{}, 1)
		machine.observed = make(chan struct{}, 1000)
		cfg, err := w.config()
		if err != nil {
			t.Fatal(err)
		}
		w.r = New(cfg, Options{
			Machine: machine,
			Open: func(p config.Port, at Place) (Session, error) {
				if err := w.refusal(nil); err != nil {
					return nil, err
				}
				s := &fakeSession{port: p, place: at}
				w.mu.Lock()
				defer w.mu.Unlock()
				w.sessions = append(w.sessions, s)
				return s, nil
			},
			OpenTunnel: func(t config.Tunnel, at overlay.Place) (overlay.Session, error) {
				if err := w.refusal(nil); err != nil {
					return nil, err
				}
				s := overlaytest.New(t, at)
				w.mu.Lock()
				defer w.mu.Unlock()
				w.tunnels = append(w.tunnels, s)
				return s, nil
			},
			Source: func(k config.Keychain) (Source, error) {
				if w.vault != nil && k.Name == "k1" {
					return w.vault, nil
				}
				return w.sources[k.Name], nil
			},
			Load:   w.config,
			Seen:   &fakeSeen{},
			Keeper: w.keep,
			Clock:  func() (time.Time, bool) { return w.clock() },
			Log:    slog.New(slog.NewTextHandler(&w.log, nil)),
			Alive:  w.alive,
			Notify: func(states ...string) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.notified = append(w.notified, states...)
				return nil
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.r.Run(ctx) }()
		w.stop = func() {
			if cancel(); done == nil {
				return
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			done = nil
			for _, s := range w.sources {
				close(s.tokens)
			}
		}
		defer w.stop()
		w.settle()
		test(w)
	})
}

// settle waits until all is done that does not wait for a long timer.
func (w *world) settle() {
	synctest.Wait()
	time.Sleep(2 * settle) // in the bubble's time
	synctest.Wait()
}

// refusal is what opening a session answers; a non-nil set changes it.
func (w *world) refusal(set *error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if set != nil {
		w.refuse = *set
	}
	return w.refuse
}

func (w *world) reload(ports string) {
	w.mu.Lock()
	w.file = header + ports
	w.mu.Unlock()
	w.r.Reload()
	w.settle()
}

// open are the ports of the sessions that run, in order of their start.
func (w *world) open() []string {
	names := []string{}
	for _, s := range w.started() {
		s.mu.Lock()
		if !s.closed {
			names = append(names, s.port.Name)
		}
		s.mu.Unlock()
	}
	return names
}

// started are the sessions so far, in order of their start.
func (w *world) started() []*fakeSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sessions)
}

// told are the states that the service manager was told.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notified)
}

func (w *world) want(what string, want, got any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) port(name string) status.Port {
	w.t.Helper()
	for _, p := range w.r.Status().Ports {
		if p.Name == name {
			return p
		}
	}
	w.t.Fatalf("no port %s in the status", name)
	return status.Port{}
}

func (w *world) logged(text string) {
	w.t.Helper()
	if !strings.Contains(w.log.String(), text) {
		w.t.Errorf("the log has no %q:\n%s", text, w.log.String())
	}
}
