package drops

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// Watcher has a reader for each port that has a filter. Its methods may be
// called from any goroutine.
type Watcher struct {
	log    *slog.Logger
	in     func(func() error) error
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	readers map[string]*reader // by port
}

// New returns a Watcher without ports. in runs a function on a thread in the
// network namespace of the devices.
func New(log *slog.Logger, in func(func() error) error) *Watcher {
	w := &Watcher{log: log, in: in, readers: make(map[string]*reader)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// Follow has the events of these ports read, which are given with the index
// of their device, and of no others. It is called whenever a filter may have
// been set, and does not wait.
func (w *Watcher) Follow(ports map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, r := range w.readers {
		if index, there := ports[name]; !there || index != r.ifindex {
			r.stop()
			delete(w.readers, name)
		}
	}
	if w.ctx.Err() != nil {
		return
	}
	for name, index := range ports {
		r := w.readers[name]
		if r == nil {
			r = newReader(w.ctx, name, index, w.in, w.log)
			w.readers[name] = r
			w.done.Go(r.run)
		}
		r.look()
	}
}

// Report tells what was seen of the port of that name; nothing if it is not
// followed.
func (w *Watcher) Report(name string) (d status.Drops) {
	w.mu.Lock()
	r := w.readers[name]
	w.mu.Unlock()
	if r == nil {
		return d
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.book.newest) - 1; i >= 0; i-- {
		d.Events = append(d.Events, told(r.book.newest[i]))
	}
	d.EventCounters, d.EventLastSeen = make(map[string]uint64), make(map[string]time.Time)
	for k, n := range r.book.entries {
		name := k.direction.String() + "_" + k.reason.String()
		if d.EventCounters[name] = n.events; n.events > 0 {
			d.EventLastSeen[name] = n.last.at
		}
	}
	d.EventsLost = r.lost
	return d
}

// told is an event for status.
func told(e event) status.Event {
	d := &e.drop
	t := status.Event{Time: e.at, Direction: d.Direction.String(), Reason: d.Reason.String(), Size: d.Size,
		Source: mac(d.Source), Destination: mac(d.Destination), VLANs: d.Tags, EtherType: etherType(d.EtherType)}
	if d.From.IsValid() {
		protocol := d.Protocol
		t.Protocol = &protocol
		t.From, t.To = address(d.From), address(d.To)
	}
	return t
}

// Close ends all readers, and waits for them.
func (w *Watcher) Close() {
	w.mu.Lock()
	for _, r := range w.readers {
		r.stop()
	}
	w.cancel()
	w.mu.Unlock()
	w.done.Wait()
}
