package bpf

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
)

// countReads counts what is read of programs, and the maps that are opened, until the
// test ends.
func countReads(t *testing.T) (reads, opens *int) {
	t.Helper()
	reads, opens = new(int), new(int)
	read, open := programs.read, programs.open
	programs.read = func(id ebpf.ProgramID) (*kind, error) { *reads++; return read(id) }
	programs.open = func(of ebpf.ProgramID, id ebpf.MapID) (*ebpf.Map, error) { *opens++; return open(of, id) }
	t.Cleanup(func() { programs.read, programs.open = read, open })
	return reads, opens
}

// openFiles counts this process's.
func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// A program is read once, however often it is looked at, and whoever replaces it is
// seen by the very next look, which reads the new ones alone.
func TestLooksReadOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.attach(t, plain, m)
		reads, opens := countReads(t)
		look := func(what string, want Filter, most int) {
			t.Helper()
			*reads = 0
			for i := range 10 {
				if s := w.observe(t); !s.Enforces(want) {
					t.Fatalf("%s: look %d: %+v", what, i, s)
				}
			}
			if *reads > most || *opens > 0 {
				t.Errorf("%s: 10 looks read programs %d times, %d are new, and opened %d maps", what, *reads, most, *opens)
			}
			*opens = 0
		}
		look("attached", plain, 2)
		look("again", plain, 0)
		changed := plain
		changed.CountOnly = true
		w.attach(t, changed, m)
		*opens = 0
		look("changed", changed, 2)
		w.attach(t, plain, m)
		*opens = 0
		look("changed back", plain, 2)
		w.do(t, func() error { return Detach(w.index()) })
		if s := w.observe(t); s.Ingress.Mode != 0 || s.Egress.Mode != 0 {
			t.Errorf("detached: %+v", s)
		}
	})
}

// Somebody else's program in our place is seen by the very next look, and so is
// ours when it comes back.
func TestLookSeesForeign(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{Native, 0})
	if s := w.observe(t); !s.Enforces(plain) {
		t.Fatalf("%+v", s)
	}
	p := foreignProgram(t, ebpf.XDP, xdpPass)
	for range 3 {
		w.do(t, func() error { return netlink.LinkSetXdpFdWithFlags(w.port, p.FD(), int(xdpFlags[Native])) })
		for range 2 {
			if s := w.observe(t); s.Foreign == nil || s.Ingress.Mode != 0 || s.Enforces(plain) {
				t.Fatalf("with another's program: %+v", s)
			}
		}
		w.do(t, func() error { return netlink.LinkSetXdpFdWithFlags(w.port, -1, int(xdpFlags[Native])) })
		w.attach(t, plain, modes{Native, 0})
		if s := w.observe(t); !s.Enforces(plain) {
			t.Fatalf("ours is back: %+v", s)
		}
	}
}

// Looks and replacements leave no file open: what was looked at ends when it is
// detached.
func TestLooksHoldNothing(t *testing.T) {
	w := newWire(t)
	all := func() error {
		if _, err := Observe(w.index()); err != nil {
			return err
		}
		if _, _, err := Guarded(w.index()); err != nil {
			return err
		}
		if _, err := ReadFlows(w.index()); err != nil {
			return err
		}
		_, err := ReadCounters(w.index())
		return err
	}
	replace := func(countOnly bool) {
		f := overlay
		f.CountOnly = countOnly
		w.do(t, func() error {
			e, err := Attach(w.index(), f)
			if err != nil {
				return err
			}
			return e.Close()
		})
	}
	replace(true)
	w.do(t, func() error { return guardHere(w.index()) })
	w.do(t, all)
	before := openFiles(t)
	for i := range 5 {
		w.do(t, func() error {
			for range 50 { // times four
				if err := all(); err != nil {
					return err
				}
			}
			return nil
		})
		replace(i%2 == 1)
	}
	if now := openFiles(t); now > before {
		t.Errorf("%d files are open after 1000 looks and 5 replacements, %d before", now, before)
	}
}

// A full catalogue begins anew, and what it then tells is as right.
func TestCatalogueIsBounded(t *testing.T) {
	reads := 0
	c := catalogue{read: func(id ebpf.ProgramID) (*kind, error) { reads++; return &kind{tag: string(rune(id))}, nil }}
	for round := range 2 {
		for id := range ebpf.ProgramID(maxKinds + 1) {
			if k, err := c.kind(id); err != nil || k.tag != string(rune(id)) {
				t.Fatalf("round %d, program %d: %+v, %v", round, id, k, err)
			}
			if len(c.of) > maxKinds {
				t.Fatalf("%d kinds", len(c.of))
			}
		}
	}
	if reads <= maxKinds || reads > 2*(maxKinds+1) {
		t.Errorf("%d reads", reads)
	}
}
