package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Load has nft put rules in place, in one transaction: all of them or none.
func Load(rules string) error {
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(rules)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// Apply puts the rules of s in place. An operator's file that nft refuses takes
// no other rule with it: the filter is there without any of them, and the error
// says so.
func Apply(s State, load func(rules string) error) error {
	err := load(Rules(s))
	if err == nil || len(s.Additions) == 0 {
		return err
	}
	s.Additions = nil
	if without := load(Rules(s)); without != nil {
		return without
	}
	return fmt.Errorf("the files of %s are left out, for nft refuses them; mend them and run systemctl restart linkseal-firewall: %w", Additions, err)
}

// FindAdditions are the operator's files, in the order of their names; none with an
// error if they cannot be listed.
func FindAdditions(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("no file of %s is read: %w; it is to be a directory of NAME.nft", dir, err)
	}
	var paths []string
	for _, e := range entries {
		if name := e.Name(); filepath.Ext(name) == ".nft" && name[0] != '.' && !strings.ContainsAny(name, "\"\\*?[\n") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, nil
}

// NetworkDir is where Networks belong, and what begins their names: before what
// people call theirs. DeviceRulesFile is udev's.
const (
	NetworkDir      = "/run/systemd/network"
	NetworkPrefix   = "10-linkseal-"
	DeviceRulesFile = "/run/udev/rules.d/85-linkseal-ports.rules"
)

// WriteNetworks makes the files in dir those of networks, and tells whether
// that changed something.
func WriteNetworks(dir string, networks map[string]string) (changed bool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	there, err := filepath.Glob(filepath.Join(dir, NetworkPrefix+"*.network"))
	if err != nil {
		return false, err
	}
	for _, path := range there {
		if _, keep := networks[filepath.Base(path)]; !keep {
			changed = true
			if err := os.Remove(path); err != nil {
				return changed, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && string(old) == networks[name] {
			continue
		}
		changed = true
		if err := os.WriteFile(path+".new", []byte(networks[name]), 0o644); err != nil {
			return changed, err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// Widen gives devices the MTU that they need, if they are there and have less:
// the ports are linkseal's, and nobody else sets them up. restore sets back what
// was changed. What a device cannot have, check tells.
func Widen(wanted []MTU) (restore func()) {
	var undo []func()
	for _, m := range wanted {
		link, err := netlink.LinkByName(m.Device)
		if err != nil || link.Attrs().MTU >= m.Octets {
			continue
		}
		before := link.Attrs().MTU
		if netlink.LinkSetMTU(link, m.Octets) == nil {
			undo = append(undo, func() { _ = netlink.LinkSetMTU(link, before) }) // as check tells, if not
		}
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

// Lower takes down those of the devices that are there and up: nothing keeps what
// is clear off them.
func Lower(devices []MTU) (err error) {
	for _, m := range devices {
		link, absent := netlink.LinkByName(m.Device)
		if absent != nil || link.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		if e := netlink.LinkSetDown(link); e != nil {
			err = errors.Join(err, fmt.Errorf("%s, a port's device, is up and cannot be taken down: %w", m.Device, e))
		}
	}
	return err
}
