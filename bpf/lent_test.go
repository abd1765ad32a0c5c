package bpf

import (
	"errors"
	gomaps "maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/broker/brokertest"
)

// lend serves a broker in this process, whose packet sockets are w's, and counts what
// it is asked.
func lend(t *testing.T, w *testWire) (asked map[broker.What]*atomic.Int64) {
	t.Helper()
	asked = make(map[broker.What]*atomic.Int64)
	lends := gomaps.Clone(Lends)
	lends[broker.PacketSocket] = func(kind, _ uint32) (fd int, _ string, err error) {
		err = w.ns.Do(func() (err error) {
			fd, err = unix.Socket(unix.AF_PACKET, int(kind)|unix.SOCK_CLOEXEC, 0)
			return err
		})
		return fd, "", err
	}
	for what, one := range lends {
		n := new(atomic.Int64)
		asked[what] = n
		lends[what] = func(a, b uint32) (int, string, error) {
			n.Add(1)
			return one(a, b)
		}
	}
	path, _ := brokertest.Serve(t, lends)
	t.Setenv(broker.Variable, path)
	// What was read before is not asked for again.
	known := programs.of
	programs.of = nil
	t.Cleanup(func() { programs.of = known })
	return asked
}

// With a broker filter, protected prefixes and guard are what they are without.
func TestLent(t *testing.T) {
	w := newWire(t)
	asked := lend(t, w)
	w.attach(t, overlay, modes{Native, 0})
	if s := w.observe(t); !s.Enforces(overlay) {
		t.Errorf("attached: %+v", s)
	}
	w.do(t, func() error { return guardHere(w.index()) })
	w.do(t, func() error {
		on, _, err := Guarded(w.index())
		if !on {
			t.Error("the guard does not stand")
		}
		return err
	})
	w.do(t, func() error { _, err := ReadCounters(w.index()); return err })
	for _, what := range []broker.What{broker.Program, broker.Map, broker.InnerMap, broker.PacketSocket} {
		if asked[what].Load() == 0 {
			t.Errorf("request %d was not made", what)
		}
	}
	w.do(t, func() error { return Detach(w.index()) })
}

// A broker is no way to others' maps.
func TestLentMapsAreOurs(t *testing.T) {
	w := newWire(t)
	lend(t, w)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "another", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := foreignProgram(t, ebpf.XDP, xdpPass)
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	program, _ := info.ID()
	other, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := other.ID()
	if _, err := mapByID(program, id); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a map of another's: %v", err)
	}
	// Nor to what is in an array of maps, which anybody can make.
	array, err := ebpf.NewMap(&ebpf.MapSpec{Name: "array", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1,
		InnerMap: &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}, Contents: []ebpf.MapKV{{Key: uint32(0), Value: m}}})
	if err != nil {
		t.Fatal(err)
	}
	defer array.Close()
	outer, err := array.Info()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := outer.ID()
	w.attach(t, overlay, modes{Native, 0})
	var ours ebpf.ProgramID
	w.do(t, func() error {
		h, _, err := glance(w.index())
		if err == nil {
			ours = h.pair().holder(portMapProtect).id
			h.Close()
		}
		return err
	})
	for name, r := range map[string]broker.Request{
		"in a foreign array":                 {What: broker.InnerMap, A: uint32(program), B: uint32(in)},
		"in a foreign array, by our program": {What: broker.InnerMap, A: uint32(ours), B: uint32(in)},
		"as it was asked for once":           {What: broker.InnerMap, A: uint32(in), B: uint32(id)},
		"itself, by our program":             {What: broker.InnerMap, A: uint32(ours), B: uint32(id)},
	} {
		fd, _, err := broker.Ask(r)
		if err == nil {
			unix.Close(fd)
			t.Errorf("a foreign map was lent: %s", name)
		}
	}
	if err := mapExists(id); err != nil {
		t.Errorf("a map that is there: %v", err)
	}
	m.Close()
	if err := mapExists(1<<31 - 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a map that is not there: %v", err)
	}
}

// A broker that has gone says nothing of the kernel: no guard is taken for one of a
// device that has gone, and one that stood stands.
func TestLentByNobody(t *testing.T) {
	w := newWire(t)
	w.guard(t)
	stands := func() (on bool) {
		t.Helper()
		w.do(t, func() (err error) {
			on, _, err = Guarded(w.index())
			return inPart(err)
		})
		return on
	}
	if !stands() {
		t.Fatal("the guard does not stand")
	}
	none := filepath.Join(t.TempDir(), "none")
	had, configured := os.LookupEnv(broker.Variable)
	restore := func() {
		if os.Unsetenv(broker.Variable); configured {
			os.Setenv(broker.Variable, had)
		}
	}
	defer restore()
	os.Setenv(broker.Variable, none)
	if _, err := filtered(1<<31 - 1); !errors.Is(err, broker.ErrUnanswered) {
		t.Errorf("a filter that nobody looked for: %v", err)
	}
	restore()
	// It goes before anything is asked, or between the filters and the trial.
	path, _ := brokertest.Serve(t, map[broker.What]broker.Lend{broker.MapExists: func(id, _ uint32) (int, string, error) {
		os.Setenv(broker.Variable, none)
		return -1, "", tryMap(ebpf.MapID(id))
	}})
	for _, at := range []string{none, path} {
		w.do(t, func() error {
			return ofFilter(w.index(), func(filter ebpf.MapID, _ *hooks) error {
				return eachGuard(func(g *guard) error {
					os.Setenv(broker.Variable, at)
					_, err := g.begin(w.index(), filter)
					restore()
					if !errors.Is(err, broker.ErrUnanswered) {
						t.Errorf("a guard that nobody tried: %v", err)
					}
					return nil
				})
			})
		})
	}
	if !stands() {
		t.Error("a broker that has gone took the guard away")
	}
}
