package tpm

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// DefaultPatience bounds an operation. All of one takes a slow TPM some
// seconds.
const DefaultPatience = 30 * time.Second

// ErrHangs is a TPM that does not answer.
var ErrHangs = errors.New("it does not answer")

// hang is ErrHangs, with when it was last asked in vain.
type hang struct{ since time.Time }

func (h *hang) Error() string {
	return fmt.Sprintf("%v, since %s", ErrHangs, h.since.UTC().Format(time.RFC3339))
}

func (h *hang) Is(target error) bool { return target == ErrHangs }

// device is one path, for all who use it: a call that hangs cannot be ended, and
// while one does no other is begun, so that they do not pile up.
type device struct {
	mu      sync.Mutex
	hanging *hang
}

var devices sync.Map // *device by path

// call runs f and waits for it until then. When that is past f goes on, and
// late is called when it has ended.
func (d *device) call(until time.Time, f, late func()) error {
	d.mu.Lock()
	h := d.hanging
	d.mu.Unlock()
	if h != nil {
		return h
	}
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
	}
	h = &hang{since: began}
	d.mu.Lock()
	d.hanging = h
	d.mu.Unlock()
	go func() {
		<-done
		late()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hanging = nil
	}()
	return h
}

// patient is a TPM that is opened, and waited for only so long. What goes over
// it is what goes over the bus: no key in clear.
type patient struct {
	d     *device
	tp    transport.TPMCloser
	until time.Time
	gone  error // a call hangs, which closes tp when it ends
}

// begin opens the TPM for one operation.
func (t *TPM) begin() (*patient, error) {
	d, _ := devices.LoadOrStore(t.path, &device{})
	patience := t.Patience
	if patience == 0 {
		patience = DefaultPatience
	}
	p := &patient{d: d.(*device), until: time.Now().Add(patience)}
	var tp transport.TPMCloser
	var failed error
	err := p.d.call(p.until, func() { tp, failed = t.open(t.path) }, func() {
		if failed == nil {
			tp.Close()
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	p.tp = tp
	return p, nil
}

// Send implements transport.TPM.
func (p *patient) Send(command []byte) ([]byte, error) {
	if p.gone != nil {
		return nil, p.gone
	}
	var answer []byte
	var failed error
	if p.gone = p.d.call(p.until, func() { answer, failed = p.tp.Send(command) }, func() { p.tp.Close() }); p.gone != nil {
		return nil, p.gone
	}
	return answer, failed
}

// Close implements transport.TPMCloser.
func (p *patient) Close() error {
	if p.gone != nil {
		return nil
	}
	var failed error
	if err := p.d.call(p.until, func() { failed = p.tp.Close() }, func() {}); err != nil {
		return err
	}
	return failed
}
