package lab

import (
	"fmt"
	"sync"

	"golang.org/x/net/bpf"
)

// Wire counts the frames that pass an appliance's port, both directions, by
// what they are.
type Wire struct {
	tap *Tap

	mu sync.Mutex
	n  WireCount
	// last clear frame seen
	clear []byte
}

// WireCount is frames by kind.
type WireCount struct {
	MACsec, MKA, Clear uint64
}

// WatchWire begins to count at the port of a.
func WatchWire(a *Appliance) (*Wire, error) {
	w := &Wire{}
	var err error
	w.tap, err = Listen(a, Device, w.count)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// WatchBridge begins to count at the bridge's end of appliance i's cable, where
// all is heard that reaches the wire, AF_XDP's frames too.
func (l *Lab) WatchBridge(i int) (*Wire, error) { return l.watchBridge(i, nil) }

// WatchUnsealed is WatchBridge of all but MACsec, which is not counted: however
// much of it passes, there is room for what is in clear.
func (l *Lab) WatchUnsealed(i int) (*Wire, error) {
	return l.watchBridge(i, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x88e5, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 20},
		bpf.RetConstant{Val: 0},
	})
}

func (l *Lab) watchBridge(i int, filter []bpf.Instruction) (*Wire, error) {
	w := &Wire{}
	var err error
	if w.tap, err = listenIn(l.bridge, fmt.Sprintf("p%d", i), filter, w.count); err != nil {
		return nil, fmt.Errorf("listening on the bridge: %w", err)
	}
	return w, nil
}

func (w *Wire) count(f Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch f.EtherType() {
	case 0x88e5:
		w.n.MACsec++
	case 0x888e:
		w.n.MKA++
	default:
		w.n.Clear++
		w.clear = append(w.clear[:0], f.Octets[:min(len(f.Octets), 64)]...)
	}
}

// LastClear is the head of the last clear frame, for an error's sake.
func (w *Wire) LastClear() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]byte(nil), w.clear...)
}

// Count is the frames so far.
func (w *Wire) Count() WireCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// Close stops counting.
func (w *Wire) Close() error { return w.tap.Close() }
