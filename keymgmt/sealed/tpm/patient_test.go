package tpm

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

// hanging is a TPM that answers nothing until it is released, and then that it
// is in failure mode.
type hanging struct {
	release              chan struct{}
	opened, sent, closed atomic.Int32
}

func (h *hanging) Send([]byte) ([]byte, error) {
	h.sent.Add(1)
	<-h.release
	return nil, tpm2.TPMRCFailure
}

func (h *hanging) Close() error {
	h.closed.Add(1)
	return nil
}

// Each operation ends in time and names what hangs; while one hangs no other is
// begun, and when it has ended the TPM is asked again.
func TestHangs(t *testing.T) {
	octets := make([]byte, 32)
	for name, do := range map[string]func(*TPM) error{
		"probe": func(m *TPM) error { _, err := m.Probe(); return err },
		"seal":  func(m *TPM) error { _, err := m.Seal(secret.New(append([]byte{}, octets...))); return err },
		"unseal": func(m *TPM) error {
			b := blob{primary: octets, public: octets, private: octets}
			_, err := m.Unseal(b.append(nil))
			return err
		},
		"find":    func(m *TPM) error { _, err := m.CounterFor("a"); return err },
		"value":   func(m *TPM) error { _, err := m.Counter(firstIndex).Value(); return err },
		"define":  func(m *TPM) error { _, err := m.Counter(firstIndex).Define(); return err },
		"advance": func(m *TPM) error { return m.Counter(firstIndex).Advance(1) },
	} {
		for at, inOpen := range map[string]bool{" in an answer": false, " in opening": true} {
			t.Run(name+at, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &hanging{release: make(chan struct{})}
					m := New(t.Name(), nil)
					m.open = func(string) (transport.TPMCloser, error) {
						h.opened.Add(1)
						if inOpen {
							<-h.release
						}
						return h, nil
					}
					began := time.Now()
					err := do(m)
					var e *Error
					if !errors.Is(err, ErrHangs) || !errors.As(err, &e) || e.Remedy == "" || e.Foreign || time.Since(began) != DefaultPatience {
						t.Fatalf("after %s: %v", time.Since(began), err)
					}
					opened, sent := h.opened.Load(), h.sent.Load()
					other := New(t.Name(), nil) // as after a new choice
					other.open = m.open
					for range 5 {
						time.Sleep(time.Minute)
						again, began := do(other), time.Now()
						if !errors.Is(again, ErrHangs) || again.Error() != err.Error() || time.Since(began) != 0 {
							t.Errorf("again: %v", again)
						}
					}
					if h.opened.Load() != opened || h.sent.Load() != sent {
						t.Error("it was asked more while it hung")
					}
					close(h.release)
					synctest.Wait()
					if h.closed.Load() != 1 {
						t.Errorf("closed %d times", h.closed.Load())
					}
					if err := do(other); err == nil || errors.Is(err, ErrHangs) || !strings.Contains(err.Error(), "failure mode") {
						t.Errorf("when it answers: %v", err)
					}
					if o, s := h.opened.Load(), h.closed.Load(); o != 2 || s != 2 {
						t.Errorf("opened %d times, closed %d", o, s)
					}
				})
			})
		}
	}
}
