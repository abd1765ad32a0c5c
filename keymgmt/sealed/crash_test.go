package sealed

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// nth are contents that differ from those of another n.
func nth(n int) Contents {
	cak := fmt.Appendf(nil, "cak %012d", n)
	return Contents{Time: t0.Add(time.Duration(n) * time.Hour), Keychains: map[string]*keychain.Keychain{
		"link1": {Keys: []keychain.Key{{CKN: "ckn", CAK: secret.New(cak)}}},
	}}
}

// number is the n of contents that nth made.
func number(t *testing.T, c Contents) int {
	t.Helper()
	n := int(c.Time.Sub(t0) / time.Hour)
	want := nth(n)
	if len(c.Keychains) != 1 || !keychain.Equal(c.Keychains["link1"], want.Keychains["link1"]) {
		t.Fatalf("contents %d have other keys", n)
	}
	return n
}

// machine is a disk and the sealer that goes with it.
type machine struct {
	d *memory
	c *chip // nil: a key file on the disk
}

func (m machine) store() *Store {
	s := &Store{d: m.d, name: "/state"}
	if m.c != nil {
		s.sealer = m.c
	} else {
		s.sealer = &keySealer{WithFile, m.d, KeyName, true}
	}
	return s
}

func (m machine) with(d *memory) machine {
	if m.c != nil {
		return machine{d, m.c.beside(d)}
	}
	return machine{d, nil}
}

// after are the machines that there may be when this one has died: the process
// alone, or with a loss of power.
func (m machine) after() (out []machine) {
	out = append(out, m.with(m.d.restarted()))
	for _, d := range m.d.outages() {
		out = append(out, m.with(d))
	}
	return out
}

// load is the number of what is loaded; 0 if there is nothing.
func (m machine) load(t *testing.T) int {
	t.Helper()
	c, err := m.store().Load()
	if errors.Is(err, ErrEmpty) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return number(t, c)
}

func (m machine) save(t *testing.T, n int) {
	t.Helper()
	if err := m.store().Save(nth(n)); err != nil {
		t.Fatal(err)
	}
}

// saved is a machine with this many saves behind it.
func saved(t *testing.T, withChip bool, n int) machine {
	t.Helper()
	m := machine{d: newMemory()}
	if withChip {
		m.c = newChip(m.d, 1)
	}
	for i := range n {
		m.save(t, i+1)
	}
	m.d.steps = 0
	return m
}

// Whatever operation of Save is the last, whether power goes with it, and
// whatever operation of the Load after is the last: the contents before or
// after are there, and stay, and a Save works.
func TestCrash(t *testing.T) {
	cases := 0
	for _, withChip := range []bool{false, true} {
		for before := range 3 {
			all := saved(t, withChip, before)
			all.save(t, before+1)
			steps := all.d.steps
			if steps < 8 {
				t.Fatalf("a save of %d operations", steps)
			}
			for at := range steps + 1 {
				m := saved(t, withChip, before)
				m.d.dieAt = at
				err := m.store().Save(nth(before + 1))
				if done := at == steps; done != (err == nil) {
					t.Fatalf("died at operation %d of %d: %v", at, steps, err)
				}
				least := before
				if err == nil {
					least = before + 1
				}
				for i, a := range m.after() {
					cases++
					t.Run(fmt.Sprintf("chip %v before %d at %d outcome %d", withChip, before, at, i), func(t *testing.T) {
						survives(t, a, least, before+1)
					})
				}
			}
		}
	}
	t.Logf("%d cases", cases)
}

// survives wants least or most to be loaded from m, also after a Load that
// dies, and a Save to work on m as it was left.
func survives(t *testing.T, m machine, least, most int) {
	whole := m.with(m.d.restarted())
	n := whole.load(t)
	if n < least || n > most {
		t.Fatalf("loaded %d, not %d or %d", n, least, most)
	}
	for at := range whole.d.steps + 1 {
		dying := m.with(m.d.restarted())
		dying.d.dieAt = at
		if got := dying.load(t); got != n {
			t.Fatalf("dying at operation %d of Load it loaded %d, not %d", at, got, n)
		}
		for _, a := range dying.after() {
			got := a.load(t)
			if got < least || got > most {
				t.Fatalf("after a Load that died at operation %d: %d, not %d or %d", at, got, least, most)
			}
			if again := a.load(t); again != got {
				t.Fatalf("loaded %d, then %d", got, again)
			}
		}
	}
	m.save(t, most+1)
	for _, a := range m.after() {
		if got := a.load(t); got != most+1 {
			t.Fatalf("saved %d, loaded %d", most+1, got)
		}
	}
}

// An operation that fails is an error, and as harmless.
func TestFailure(t *testing.T) {
	for _, withChip := range []bool{false, true} {
		for before := range 2 {
			all := saved(t, withChip, before)
			all.save(t, before+1)
			for at := range all.d.steps {
				t.Run(fmt.Sprintf("chip %v before %d at %d", withChip, before, at), func(t *testing.T) {
					m := saved(t, withChip, before)
					m.d.failAt = at
					if err := m.store().Save(nth(before + 1)); !errors.Is(err, errBroken) {
						t.Fatalf("operation %d failed, Save returned %v", at, err)
					}
					for _, a := range m.after() {
						survives(t, a, before, before+1)
					}
					m.save(t, before+2)
					for _, a := range m.after() {
						if got := a.load(t); got != before+2 {
							t.Fatalf("loaded %d after another save", got)
						}
					}
				})
			}
		}
	}
}
