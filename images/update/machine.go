package update

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/part"
	files "github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/slot"
)

// Machine is where things are; ThisMachine but in tests.
type Machine struct {
	Sys, Dev    string
	Root        string
	Keys        string // the authorized keys
	ESP         string // where the EFI system partition is mounted
	CommandLine string
	Release     string // os-release
	Key         string // the public key of updates
	State       string // the directory of the image's state
}

// ThisMachine is the one that this runs on.
var ThisMachine = Machine{Sys: "/sys", Dev: "/dev", Root: "/", Keys: files.AuthorizedKeys, ESP: "/efi", CommandLine: "/proc/cmdline", Release: "/usr/lib/os-release", Key: "/usr/lib/linkseal/update.pub", State: "/var/lib/linkseal-image"}

// Running finds out what runs, and where.
func (m *Machine) Running() (run Running, disk slot.Disk, err error) {
	if disk, err = slot.Find(m.Sys); err != nil {
		return run, disk, err
	}
	text, err := os.ReadFile(m.CommandLine)
	if err != nil {
		return run, disk, err
	}
	if run.Boot, err = part.ParseCommandLine(string(text)); err != nil {
		return run, disk, err
	}
	run.Arch = runtime.GOARCH
	run.Version, err = m.version()
	return run, disk, err
}

// version is os-release's IMAGE_VERSION.
func (m *Machine) version() (string, error) {
	f, err := os.Open(m.Release)
	if err != nil {
		return "", err
	}
	defer f.Close()
	release := map[string]string{}
	for s := bufio.NewScanner(io.LimitReader(f, 64<<10)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), "=")
		release[name] = strings.Trim(value, `"'`)
	}
	if release["IMAGE_ID"] != bundle.Image {
		return "", fmt.Errorf("%s: IMAGE_ID is %q, not %s; %w", m.Release, release["IMAGE_ID"], bundle.Image, slot.ErrNoImage)
	}
	if err := bundle.CheckVersion(release["IMAGE_VERSION"]); err != nil {
		return "", fmt.Errorf("%s: IMAGE_VERSION: %w", m.Release, err)
	}
	return release["IMAGE_VERSION"], nil
}

// Install installs the update in the file at path. before is called when it is found
// good, for what was when it was installed.
func (m *Machine) Install(path string, before func() (health.Record, error), say func(string, ...any)) (err error) {
	run, disk, err := m.Running()
	if err != nil {
		return err
	}
	key, err := bundle.ReadKey(m.Key)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	t := Target{Running: run, Slot: disk.Other.Name, Say: say}
	root, err := slot.OpenDevice(m.Dev, disk.Other.Root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	verity, err := slot.OpenDevice(m.Dev, disk.Other.Verity)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, verity.Close()) }()
	esp, err := slot.OpenDirectory(m.ESP, disk.ESP)
	if err != nil {
		return err
	}
	defer esp.Close()
	t.Root, t.Verity, t.ESP = root, verity, esp
	t.Remember = func(b *bundle.Manifest) error {
		r, err := before()
		if err != nil {
			return fmt.Errorf("version %s is not installed: %w", b.Version, err)
		}
		r.Version, r.From, r.Slot = b.Version, run.Version, disk.Other.Name
		return health.SaveRecord(m.State, r)
	}
	if _, err = Install(file, key, &t); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Overview says what the slots have, and what became of the last update.
func (m *Machine) Overview() (Overview, error) {
	var s seen
	var err error
	if s.run, s.disk, err = m.Running(); err != nil {
		return Overview{}, err
	}
	esp, err := slot.OpenDirectory(m.ESP, s.disk.ESP)
	if err != nil {
		return Overview{}, err
	}
	defer esp.Close()
	if s.ukis, _, err = slot.Contents(esp); err != nil {
		return Overview{}, err
	}
	s.other, s.otherErr = m.contents(s.disk.Other)
	if s.record, err = health.LoadRecord(m.State); err != nil {
		return Overview{}, err
	}
	if s.results, err = health.Results(m.State); err != nil {
		return Overview{}, err
	}
	if s.installing, err = m.installing(); err != nil {
		return Overview{}, err
	}
	o := s.overview()
	o.Verity = s.disk.Verify(m.Root, s.run.Boot.Verity) == nil
	if o.SecureBoot, err = slot.SecureBoot(m.Sys); err != nil {
		o.SecureBoot = "unknown: " + err.Error()
	}
	return o, nil
}

// Left is another whenever an install or a check has left something.
func (m *Machine) Left() string { return health.Stamp(m.State) }

// contents are the UUIDs of what a slot holds.
func (m *Machine) contents(s slot.Slot) (b part.Boot, err error) {
	for _, p := range []struct {
		of   slot.Partition
		read func(io.ReaderAt) (string, error)
		to   *string
	}{{s.Root, part.RootUUID, &b.Root}, {s.Verity, part.VerityUUID, &b.Verity}} {
		d, err := slot.ReadDevice(m.Dev, p.of)
		if err != nil {
			return b, err
		}
		*p.to, err = p.read(d)
		if err = errors.Join(err, d.Close()); err != nil && !errors.Is(err, part.ErrNone) {
			return b, fmt.Errorf("partition %s: %w", p.of.Name, err)
		}
	}
	return b, nil
}
