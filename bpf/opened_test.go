package bpf

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/link"
)

// What opened and closed again is known to who counts, and splits its accounts.
func TestOpened(t *testing.T) {
	for name, c := range map[string]struct {
		open func(*testing.T, *testWire)
		want Opened
	}{
		"egress taken off": {func(t *testing.T, w *testWire) {
			w.do(t, func() error {
				h, _, err := look(w.index())
				if err != nil {
					return err
				}
				defer h.Close()
				return h.tc[Egress].remove()
			})
		}, Opened{Filter: true}},
		"ingress taken off": {func(t *testing.T, w *testWire) {
			w.do(t, func() error {
				h, _, err := look(w.index())
				if err != nil {
					return err
				}
				defer h.Close()
				return setXDP(h.link, h.xdpMode, -1, h.xdp.FD())
			})
		}, Opened{Filter: true}},
		"ingress by tc": {func(t *testing.T, w *testWire) { w.attach(t, plain, modes{in: byTC()}) }, Opened{}},
		"ingress by tc, and frames joined before": {func(t *testing.T, w *testWire) {
			w.attach(t, plain, modes{in: byTC()})
			w.do(t, func() error { return link.SetGRO("port", true) })
		}, Opened{Filter: true}},
		"unguarded": {func(t *testing.T, w *testWire) {
			w.do(t, func() error { return Unguard(w.index()) })
		}, Opened{Guard: true}},
		"other settings": {func(t *testing.T, w *testWire) {
			w.attach(t, Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Allow: []Protocol{"lldp"}}, modes{})
		}, Opened{}},
		"nothing":         {func(*testing.T, *testWire) {}, Opened{}},
		"another's guard": {func(t *testing.T, w *testWire) { newWire(t).guard(t) }, Opened{}},
		"a guard's other version": {func(t *testing.T, w *testWire) {
			if _, err := otherGuard(); err != nil {
				t.Fatal(err)
			}
		}, Opened{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.quiet(t)
			w.guard(t)
			s := w.sas(t)
			if o, err := s.Opened(); err != nil || !o.Guard || o.Filter {
				t.Fatalf("a port that was never guarded: %+v, %v", o, err)
			}
			if err := s.Split(time.Now()); err != nil {
				t.Fatal(err)
			}
			s.start(t, keyed(Egress, 1, 7))
			s.start(t, keyed(Ingress, 2, 8))
			port := w.station(t, w.port)
			port.send(t, framed(portSCI, 1, 1, 60))
			before := w.arrived(t)
			c.open(t, w)
			port.try(t, clearFrame)
			w.guard(t)
			if w.arrived(t) > before && !c.want.Filter {
				t.Error("a clear frame left")
			}
			later := w.sas(t)
			o, err := later.Opened()
			if found := o.Found; c.want != (Opened{}) && (found.After(time.Now()) || time.Since(found) > time.Minute) {
				t.Errorf("found at %v", found)
			}
			if o.Found = (time.Time{}); err != nil || o != c.want || !s.Same(later) {
				t.Errorf("found %+v, %v; want %+v", o, err, c.want)
			}
			if err := later.Split(time.Now()); err != nil {
				t.Fatal(err)
			}
			port.send(t, framed(portSCI, 1, 2, 60))
			port.send(t, framed(portSCI, 1, 3, 60))
			all := later.unsettled(t)
			if len(all) != 4 || all[0].Packets != 1 || all[0].Until.IsZero() {
				t.Fatalf("accounts: %+v", all)
			}
			for _, a := range all[2:] {
				if want := map[Direction]uint64{Egress: 2}[a.Direction]; a.Packets != want || !a.Until.IsZero() || a.Since.Before(all[0].Until) {
					t.Errorf("%+v after %+v; want %d frames", a, all[0], want)
				}
			}
			if o, err := later.Opened(); err != nil || o != (Opened{}) {
				t.Errorf("after the split: %+v, %v", o, err)
			}
		})
	}
}

// An SA does not end before it began, whatever becomes of the clock.
func TestClockSetBack(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	s := w.sas(t)
	now := time.Now()
	if err := s.Begin(keyed(Egress, 1, 7), now); err != nil {
		t.Fatal(err)
	}
	if err := s.End(keyed(Egress, 1, 7), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if a := s.unsettled(t)[0]; a.Until.Before(a.Since) {
		t.Errorf("from %v to %v", a.Since, a.Until)
	}
}
