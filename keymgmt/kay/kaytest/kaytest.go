// Package kaytest has the KaY's seams in memory: a wire, a SecY, a store.
package kaytest

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Wire joins stations: what one writes, all others read.
type Wire struct {
	mu   sync.Mutex
	ends []*End
}

// End is a station's EAPOL socket on a Wire.
type End struct {
	wire   *Wire
	in     chan []byte
	closed chan struct{}
	once   sync.Once
}

// Join adds a station.
func (w *Wire) Join() *End {
	e := &End{wire: w, in: make(chan []byte, 256), closed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, e)
	return e
}

// Write sends a frame to all others; a station whose queue is full misses it.
func (e *End) Write(frame []byte) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	for _, o := range e.wire.ends {
		if o == e {
			continue
		}
		select {
		case o.in <- append([]byte(nil), frame...):
		default:
		}
	}
	return nil
}

// ReadBatch blocks for a frame, and takes it alone.
func (e *End) ReadBatch(frames [][]byte) (int, error) {
	select {
	case f := <-e.in:
		frames[0] = frames[0][:copy(frames[0], f)]
		return 1, nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

// Close unblocks ReadBatch and leaves the wire.
func (e *End) Close() error {
	e.once.Do(func() {
		close(e.closed)
		e.wire.mu.Lock()
		defer e.wire.mu.Unlock()
		for i, o := range e.wire.ends {
			if o == e {
				e.wire.ends = append(e.wire.ends[:i], e.wire.ends[i+1:]...)
				break
			}
		}
	})
	return nil
}

// SecY is an SA table that obeys package sa's rules.
type SecY struct {
	mu    sync.Mutex
	table sa.Table
	port  sa.ControlledPort
	set   bool
	fail  error
	hold  chan struct{} // not nil: Observe waits for it
}

// Hold makes Observe not return until release is called.
func (s *SecY) Hold() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hold = nil
		close(hold)
	}
}

// FailPort makes SetControlledPort return err from now on; nil: no more.
func (s *SecY) FailPort(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Port is the Controlled Port's state; false if it was never set.
func (s *SecY) Port() (sa.ControlledPort, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port, s.set
}

// SetControlledPort implements kay.SecY.
func (s *SecY) SetControlledPort(p sa.ControlledPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.port, s.set = p, true
	return nil
}

// Observe implements kay.SecY.
func (s *SecY) Observe(t *sa.Table) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Encoding = s.table.Encoding
	t.Tx = append(t.Tx[:0], s.table.Tx...)
	t.Rx = append(t.Rx[:0], s.table.Rx...)
	return nil
}

// Encodes is the SA that is transmitted with; false if none is.
func (s *SecY) Encodes() (sa.TxState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tx := range s.table.Tx {
		if tx.AN == s.table.Encoding {
			return tx, true
		}
	}
	return sa.TxState{}, false
}

// Apply implements kay.SecY.
func (s *SecY) Apply(c sa.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Kind {
	case sa.InstallTx:
		for _, tx := range s.table.Tx {
			if tx.AN == c.SA.AN {
				return same(c, tx.Key)
			}
		}
		s.table.Tx = append(s.table.Tx, sa.TxState{AN: c.SA.AN, Key: c.SA.Key, PN: c.SA.PN})
	case sa.InstallRx:
		for _, rx := range s.table.Rx {
			if rx.SCI == c.SCI && rx.AN == c.SA.AN {
				return same(c, rx.Key)
			}
		}
		s.table.Rx = append(s.table.Rx, sa.RxState{SCI: c.SCI, AN: c.SA.AN, Key: c.SA.Key, PN: c.SA.PN})
	case sa.Encode:
		s.table.Encoding = c.SA.AN
	case sa.DeleteTx:
		s.table.Tx = without(s.table.Tx, func(t sa.TxState) bool { return t.AN == c.SA.AN && t.Key == c.SA.Key })
	case sa.DeleteRx:
		s.table.Rx = without(s.table.Rx, func(r sa.RxState) bool { return r.SCI == c.SCI && r.AN == c.SA.AN && r.Key == c.SA.Key })
	case sa.DeleteSC:
		s.table.Rx = without(s.table.Rx, func(r sa.RxState) bool { return r.SCI == c.SCI })
	}
	return nil
}

func same(c sa.Change, has sa.KeyID) error {
	if has == c.SA.Key {
		return nil
	}
	return fmt.Errorf("%s: the AN has key %s", c, has)
}

func without[T any](list []T, drop func(T) bool) []T {
	keep := list[:0]
	for _, v := range list {
		if !drop(v) {
			keep = append(keep, v)
		}
	}
	return keep
}

// Store keeps a record in memory.
type Store struct {
	mu   sync.Mutex
	b    []byte
	fail error
	slow time.Duration
}

// Fail makes Save return err from now on; nil: no more.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Slow makes Save take d from now on.
func (s *Store) Slow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = d
}

// Load implements kay.Store.
func (s *Store) Load() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.b...), nil
}

// Save implements kay.Store.
func (s *Store) Save(b []byte) error {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	time.Sleep(slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.b = append([]byte(nil), b...)
	return nil
}
