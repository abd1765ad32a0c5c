package update_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/bundle/bundletest"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/images/update"
)

const (
	running = "20261101.120000"
	older   = "20261001.120000"
	newer   = "20261126.170000"
	failed  = "20261120.000000" // newer than what runs, and did not hold
)

// world is a machine with what is known of the versions that there are.
type world struct {
	machine
	images map[string]bundletest.Image
	said   strings.Builder
}

func newWorld() *world {
	w := &world{images: map[string]bundletest.Image{}, machine: machine{cutAt: -1, fail: -1}}
	for _, v := range []string{running, older, newer, failed} {
		w.images[v] = bundletest.New(v, 9000) // no whole number of sectors
	}
	w.root, w.hash = disk{m: &w.machine, durable: make([]byte, 12<<10)}, disk{m: &w.machine, durable: make([]byte, 4<<10)}
	w.esp = fat{m: &w.machine, names: map[string]int{}, data: map[int][]byte{}}
	w.esp.put("linkseal_"+running+".efi", w.images[running][part.UKI])
	w.esp.put("other.efi", []byte("somebody else's"))
	return w
}

// has fills the other slot with a version, under the UKI's name.
func (w *world) has(version, name string) *world {
	copy(w.root.durable, w.images[version][part.Root])
	copy(w.hash.durable, w.images[version][part.Verity])
	w.esp.put(name, w.images[version][part.UKI])
	return w
}

func (w *world) target() *update.Target {
	return &update.Target{
		Running: update.Running{Version: running, Arch: "amd64", Boot: bundletest.Boot(running)},
		Slot:    "b", Root: &w.root, Verity: &w.hash, ESP: &w.esp,
		Remember: func(*bundle.Manifest) error { return w.do() },
		Say:      func(f string, args ...any) { fmt.Fprintf(&w.said, f+"\n", args...) },
	}
}

// install reports whether the power went.
func (w *world) install(file []byte, key bundle.Key) (cut bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, isCut := p.(powerCut); !isCut {
				panic(p)
			}
			cut = true
		}
	}()
	_, err = update.Install(bytes.NewReader(file), key, w.target())
	return false, err
}

// whole says why an entry would not boot: firmware checks the UKI's signature,
// dm-verity every octet of the root.
func (w *world) whole(e slot.Entry) error {
	image := w.images[e.Version]
	if !bytes.Equal(w.esp.data[w.esp.names[e.Name]], image[part.UKI]) {
		return fmt.Errorf("%s is not what was signed", e.Name)
	}
	if e.Version == running {
		return nil // its slot is not written: there is no way to it
	}
	if !bytes.HasPrefix(w.root.durable, image[part.Root]) || !bytes.HasPrefix(w.hash.durable, image[part.Verity]) {
		return fmt.Errorf("%s: the slot is not what it boots", e.Name)
	}
	return nil
}

// boots is the version that the disk boots. All that can be chosen boots; only what
// has no tries left may be broken.
func (w *world) boots(t *testing.T) string {
	t.Helper()
	all := w.entries()
	for _, e := range all {
		if e.Trial && e.Left == 0 {
			continue
		}
		if err := w.whole(e); err != nil {
			t.Errorf("an entry that does not boot: %v", err)
		}
	}
	if len(all) == 0 {
		t.Error("nothing to boot")
		return ""
	}
	return all[0].Version
}

var worlds = map[string]func() *world{
	"empty":                   newWorld,
	"older":                   func() *world { return newWorld().has(older, "linkseal_"+older+".efi") },
	"failed":                  func() *world { return newWorld().has(failed, "linkseal_"+failed+"+0-3.efi") },
	"on trial":                func() *world { return newWorld().has(failed, "linkseal_"+failed+"+3.efi") },
	"the same version before": func() *world { return newWorld().has(newer, "linkseal_"+newer+"+2-1.efi") },
	// A rename that the power cut left both names.
	"a second name of what runs": func() *world {
		w := newWorld().has(older, "linkseal_"+older+".efi")
		w.esp.names["linkseal_"+running+".new"] = w.esp.names["linkseal_"+running+".efi"]
		return w
	},
	"found good by halves": func() *world {
		w := newWorld()
		w.esp.names["linkseal_"+running+"+2-1.efi"] = w.esp.names["linkseal_"+running+".efi"]
		return w
	},
	"half installed": func() *world {
		w := newWorld()
		w.esp.put("linkseal_"+newer+".new", []byte("half"))
		w.esp.put("linkseal_"+older+".old", []byte("gone"))
		copy(w.root.durable, w.images[newer][part.Root][:4096])
		return w
	},
}

// The power is cut before each step of an install, and of what was not synced any
// part may be on the disk: what runs boots, or all of what is new. Then the same
// install is cut again, and goes through the third time.
func TestPowerCut(t *testing.T) {
	signer, key := bundletest.Keys(t)
	file := bundletest.Update(t, newWorld().images[newer], newer, "amd64", signer)
	kinds := 6
	if os.Getenv("LINKSEAL_SOAK") == "1" {
		kinds = 400
	}
	for name, start := range worlds {
		t.Run(name, func(t *testing.T) {
			cuts, was := 0, map[string]int{}
			before := start().boots(t) // what runs, or what is on trial
			for step, done := 1, false; !done; step++ {
				for kind, ways := 0, 1; kind < ways; kind++ {
					w := start()
					w.cutAt = step
					cut, err := w.install(file, key)
					if err != nil {
						t.Fatalf("step %d: %v", step, err)
					}
					if done = !cut; done {
						break
					}
					cuts++
					ways = w.ways(kinds)
					w.cut(kind)
					version := w.boots(t)
					was[version]++
					if version != running && version != newer && version != before {
						t.Errorf("cut at step %d, %d: %s boots", step, kind, version)
					}
					for again := 2; w.boots(t) != newer; again++ {
						if again == 2 && kind > 1 {
							w.cutAt = w.step + 1 + (step*5+kind*3)%30
						}
						cut, err := w.install(file, key)
						if w.cut(kind); err != nil || again > 3 {
							t.Errorf("cut at step %d, %d, then %d times again: %v", step, kind, again, err)
							break
						}
						if v := w.boots(t); !cut && v != newer {
							t.Errorf("cut at step %d, %d, then again: %s boots", step, kind, v)
						}
					}
				}
			}
			if cuts < 60 || was[running] == 0 || was[newer] == 0 {
				t.Errorf("%d cuts, %v: too few to say anything", cuts, was)
			}
			t.Logf("%d cuts: %v", cuts, was)
		})
	}
}

// Each step fails for itself: the install says so, and what runs boots.
func TestStepFails(t *testing.T) {
	signer, key := bundletest.Keys(t)
	file := bundletest.Update(t, newWorld().images[newer], newer, "amd64", signer)
	for name, start := range worlds {
		failures := 0
		for step := 1; ; step++ {
			w := start()
			before := w.boots(t)
			w.fail = step
			_, err := w.install(file, key)
			if w.step < step {
				break
			}
			failures++
			if err == nil && w.fail != -1 && w.boots(t) != newer {
				t.Errorf("%s: step %d failed: not told, and %s boots", name, step, w.boots(t))
			}
			w.cut(0)
			if v := w.boots(t); err != nil && v != running && v != before && !(v == newer && strings.Contains(err.Error(), "is not known")) {
				t.Errorf("%s: step %d failed with %v: %s boots", name, step, err, v)
			}
			if err != nil && !strings.Contains(err.Error(), errBroken.Error()) {
				t.Errorf("%s: step %d: %v", name, step, err)
			}
		}
		if failures < 10 {
			t.Errorf("%s: %d steps", name, failures)
		}
	}
}

// A disk that gives back other than what was written is found out.
func TestReadBack(t *testing.T) {
	signer, key := bundletest.Keys(t)
	w := newWorld()
	file := bundletest.Update(t, w.images[newer], newer, "amd64", signer)
	w.from = func(b []byte) {
		if len(b) > 0 {
			b[len(b)/2] ^= 1
		}
	}
	_, err := w.install(file, key)
	if err == nil || !strings.Contains(err.Error(), "read root.erofs back: of 9000 octets") || !strings.Contains(err.Error(), "version "+running+", which runs, was not touched") {
		t.Error(err)
	}
	if v := w.boots(t); v != running {
		t.Errorf("%s boots", v)
	}
}

// What is refused is refused before anything is changed.
func TestRefused(t *testing.T) {
	signer, key := bundletest.Keys(t)
	stranger, _ := bundletest.Keys(t)
	good := bundletest.Update(t, newWorld().images[newer], newer, "amd64", signer)
	made := func(version, arch string, s bundle.Signer) []byte {
		return bundletest.Update(t, bundletest.New(version, 9000), version, arch, s)
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1500] ^= 1
	for name, c := range map[string]struct {
		file  []byte
		spoil func(w *world)
		want  string
	}{
		"the same version":    {made(running, "amd64", signer), nil, "version " + running + " is what runs; accepted: a newer one"},
		"a downgrade":         {made(older, "amd64", signer), nil, "version " + older + " is older than " + running},
		"another's signature": {made(newer, "amd64", stranger), nil, "signature: made by key"},
		"another machine's":   {made(newer, "arm64", signer), nil, "the update is for arm64, and this machine is amd64"},
		"damaged at its end":  {damaged, nil, "linkseal.efi: "},
		"no update":           {[]byte("#!/bin/sh\n"), nil, "is it an update file"},
		"on trial itself": {good, func(w *world) {
			delete(w.esp.names, "linkseal_"+running+".efi")
			w.esp.put("linkseal_"+running+"+1-2.efi", w.images[running][part.UKI])
		}, "is on trial itself (linkseal_" + running + "+1-2.efi)"},
		"its own UKI is gone": {good, func(w *world) { delete(w.esp.names, "linkseal_"+running+".efi") }, "is not on the EFI system partition"},
		"its own UKI is torn": {good, func(w *world) { w.esp.put("linkseal_"+running+".efi", []byte("MZ")) }, "is not on the EFI system partition"},
		"too large a root":    {good, func(w *world) { w.root.durable = w.root.durable[:8192] }, "root.erofs has 9000 octets, and its partition has 8192"},
		"too large a UKI":     {bundletest.Update(t, bundletest.New(newer, 300<<10), newer, "amd64", signer), func(w *world) { w.root.durable, w.hash.durable = make([]byte, 1<<20), make([]byte, 1<<20) }, "octets, and the EFI system partition has room for"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().has(older, "linkseal_"+older+".efi")
			if c.spoil != nil {
				c.spoil(w)
			}
			names, slotB := maps.Clone(w.esp.names), bytes.Clone(w.root.durable)
			_, err := w.install(c.file, key)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if w.step != 0 || !maps.Equal(names, w.esp.names) || !bytes.Equal(slotB, w.root.durable) {
				t.Errorf("%d steps were done", w.step)
			}
		})
	}
}

func TestInstalls(t *testing.T) {
	signer, key := bundletest.Keys(t)
	w := newWorld().has(older, "linkseal_"+older+".efi")
	file := bundletest.Update(t, w.images[newer], newer, "amd64", signer)
	if _, err := w.install(file, key); err != nil {
		t.Fatal(err)
	}
	w.cut(0)
	if v := w.boots(t); v != newer {
		t.Errorf("%s boots", v)
	}
	for _, name := range []string{"linkseal_" + running + ".efi", "linkseal_" + newer + "+3.efi", "other.efi"} {
		if _, there := w.esp.names[name]; !there || len(w.esp.names) != 3 {
			t.Errorf("%s is not among %v", name, w.esp.names)
		}
	}
	if said := w.said.String(); !strings.Contains(said, "version "+older+" is removed (linkseal_"+older+".efi)") {
		t.Error(said)
	}
}
