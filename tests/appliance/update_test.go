package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/update"
	"github.com/linkseal/linkseal/tests/appliance/qemu"
	"github.com/linkseal/linkseal/tests/appliance/seed"
)

// The program of an update that is properly signed and cannot work.
const brokenProgram = "#!/bin/sh\necho linkseal does not run in this version >&2\nexit 1\n"

// variant builds another version: the same root but for these files over it. What it
// makes stays in the image's trial directory; OUT.update is the update.
func (i *image) variant(t *testing.T, name, suffix string, files map[string]string) (version, file string) {
	t.Helper()
	version = i.version + "." + suffix
	out, err := filepath.Abs(filepath.Join(i.trial, name))
	check(t, err)
	if _, err := os.Stat(out + ".update"); err == nil {
		return version, out + ".update" // an earlier test made it
	}
	args := []string{filepath.Join(i.dir, "parts"), i.keys, version, out}
	if len(files) > 0 {
		over := t.TempDir()
		for path, text := range files {
			path = filepath.Join(over, path)
			check(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755))
		}
		args = append(args, over)
	}
	check(t, program("./variant", args...))
	return version, out + ".update"
}

// media is a CD with these files, and where the appliance has it.
func (i *image) media(t *testing.T, name string, files ...string) qemu.Medium {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		check(t, os.Link(f, filepath.Join(dir, filepath.Base(f))))
	}
	path := filepath.Join(i.trial, name+"-updates.iso")
	check(t, seed.CDOf(path, "UPDATES", dir))
	return qemu.Medium{Path: path}
}

const mountUpdates = "mountpoint -q /mnt || mount -o ro /dev/disk/by-label/UPDATES /mnt"

// overview is what image status says.
func (h *host) overview(ctx context.Context) (*update.Overview, error) {
	out, err := h.Run(ctx, "linkseal image status --json")
	if err != nil {
		return nil, err
	}
	o := new(update.Overview)
	return o, json.Unmarshal([]byte(out), o)
}

// runs waits until image status says what ok wants.
func (h *host) runs(what string, ok func(*update.Overview) bool) *update.Overview {
	h.t.Helper()
	var last *update.Overview
	h.await(what, 3*patience, func(ctx context.Context) (err error) {
		if last, err = h.overview(ctx); err == nil && !ok(last) {
			err = fmt.Errorf("image status says %+v; last update %+v", *last, last.Last)
		}
		return err
	})
	return last
}

// Updates: what is not signed as it must be is refused with nothing written; a good
// one is booted and found good; one whose program does not run is left again, by
// itself, and the reason is told. The machine has no serial port, as many have none.
func TestUpdate(t *testing.T) {
	i := theImage(t)
	next, good := i.variant(t, "next", "1", nil)
	broken, bad := i.variant(t, "broken", "2", map[string]string{"usr/bin/linkseal": brokenProgram})

	stranger := filepath.Join(i.trial, "stranger.update")
	keys := filepath.Join(t.TempDir(), "keys")
	check(t, os.Mkdir(keys, 0o700), makeUpdate("-new-key", keys))
	check(t, makeUpdate("-parts", filepath.Join(i.trial, "next.work/parts"), "-version", next, "-key", filepath.Join(keys, "update.key"), "-out", stranger))
	damaged := filepath.Join(i.trial, "damaged.update")
	check(t, program("cp", good, damaged))
	flip(t, damaged, 50<<20)
	short := filepath.Join(i.trial, "short.update")
	check(t, program("cp", good, short), os.Truncate(short, 50<<20))

	h := i.host(t, "update", i.cloud(t, sites(t, i.public)[0]), i.media(t, "update", good, bad, stranger, damaged, short))
	h.NoSerial = true
	h.on()
	h.run(mountUpdates)
	if lines := strings.TrimSpace(h.run("systemctl list-units --all --plain --no-legend --state=failed,auto-restart 'linkseal*'; systemctl is-active linkseal-console@ttyS0 || systemctl is-active linkseal-console@tty1")); lines != "inactive\nactive" {
		t.Errorf("without a serial port: %q; want none that failed, no console on ttyS0, one on the screen", lines)
	}
	first := h.runs("the first version", func(o *update.Overview) bool { return o.Running.Version == i.version })
	if first.Running.State != update.Good || first.Other.State != update.Empty || !first.Verity || first.SecureBoot != "on" {
		t.Errorf("a new image says %+v", *first)
	}

	t.Run("refused", func(t *testing.T) {
		h := h.in(t)
		// What an install could write: the other slot, and the ESP.
		const look = "for p in root-b root-b-verity; do dd if=/dev/disk/by-partlabel/$p bs=1M count=16 status=none | sha256sum; done; find /efi -type f -exec sha256sum {} + | sort; linkseal image status"
		before := h.run(look)
		for name, want := range map[string]string{"stranger": "sign", "damaged": "the file is damaged", "short": "the file ends in the middle"} {
			said := h.refused("linkseal image install /mnt/" + name + ".update")
			fmt.Printf("figure: %s: %s\n", name, strings.TrimSpace(said))
			if !strings.Contains(said, want) {
				t.Errorf("%s is refused with %q; want a word of %q", name, said, want)
			}
		}
		if after := h.run(look); after != before {
			t.Errorf("refused updates changed something:\n%s\nbefore:\n%s", after, before)
		}
	})
	if t.Failed() {
		return
	}
	fmt.Printf("figure: install: %s\n", strings.ReplaceAll(strings.TrimSpace(h.long(3*patience, "linkseal image install --reboot /mnt/next.update")), "\n", "; "))
	h.Close()
	o := h.runs("the update, found good", func(o *update.Overview) bool {
		return o.Running.Version == next && o.Running.State == update.Good
	})
	if o.Other.Version != i.version || o.Other.State != update.Good || o.Last == nil || o.Last.Result != update.Holds {
		t.Errorf("after the update: %+v; last update %+v", *o, o.Last)
	}
	h.run(mountUpdates)
	said := h.refused("linkseal image install /mnt/next.update")
	fmt.Printf("figure: the same once more: %s\n", strings.TrimSpace(said))
	if !strings.Contains(said, "is what runs") {
		t.Errorf("the same version once more is refused with %q", said)
	}

	resets := h.Resets()
	h.long(3*patience, "linkseal image install --reboot /mnt/broken.update")
	h.Close()
	o = h.runs("the version before the broken one", func(o *update.Overview) bool {
		return o.Running.Version == next && o.Last != nil && o.Last.Result == update.FellBack
	})
	if o.Running.State != update.Good || o.Other.Version != broken || o.Other.State != update.Failed || len(o.Last.Reasons) == 0 {
		t.Errorf("after the broken update: %+v; last update %+v", *o, o.Last)
	}
	fmt.Printf("figure: a broken update: %d resets, then %s again; why: %s\n", h.Resets()-resets, o.Running.Version, strings.Join(o.Last.Reasons, "; "))
	if n := h.Resets() - resets; n < 4 {
		t.Errorf("%d resets: it was not tried three times", n)
	}

	// A crash of systemd ends the boot, as a panic would: else what has one hangs.
	resets = h.Resets()
	h.run("systemd-run --on-active=2 kill -SEGV 1")
	h.Close()
	ctx, cancel := within(t, patience)
	defer cancel()
	check(t, h.AwaitReset(ctx, resets+1))
	h.runs("the same version after systemd's crash", func(o *update.Overview) bool { return o.Running.Version == next })
}

// linkless updates one end to a version in which all runs, and the link cannot be
// secured: it is left again, by itself, and the link is secured as before.
func (p *pair) linkless() {
	west := p.hosts[0]
	west.run(mountUpdates)
	west.long(3*patience, "linkseal image install --reboot /mnt/linkless.update")
	west.Close()
	o := west.runs("the version before the one without MACsec", func(o *update.Overview) bool {
		return o.Running.Version == p.image.version && o.Last != nil && o.Last.Result == update.FellBack
	})
	fmt.Printf("figure: an update that runs and does not secure its link: %s again; why: %s\n", o.Running.Version, strings.Join(o.Last.Reasons, "; "))
	if !slices.ContainsFunc(o.Last.Reasons, func(why string) bool { return strings.Contains(why, "link1") }) {
		p.t.Errorf("it fell back for %q, which does not name link1", o.Last.Reasons)
	}
	p.secured()
	p.answered(0, linkAddress[1])
}

// makeUpdate is the build's own maker of updates.
func makeUpdate(args ...string) error {
	return program("go", append([]string{"run", "github.com/linkseal/linkseal/images/bundle/make"}, args...)...)
}

// in is the host in a subtest.
func (h *host) in(t *testing.T) *host {
	copied := *h
	copied.t = t
	return &copied
}
