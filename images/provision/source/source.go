// Package source finds what may provision the appliance: block devices by
// their label, and what each is by its content.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/medium"
	"github.com/linkseal/linkseal/images/provision/mount"
	"github.com/linkseal/linkseal/images/provision/nocloud"
	"github.com/linkseal/linkseal/images/provision/ovfenv"
)

// Labels are those of media, in the order in which they are looked at.
var Labels = []string{"LINKSEAL", "CIDATA", "cidata"}

// azure is the chassis asset tag of Azure's virtual machines.
const azure = "7783-7084-3265-9085-8269-3286-77"

// Azure tells whether the machine is one of Azure's, by its firmware's word.
func Azure(root string) bool {
	tag, err := os.ReadFile(filepath.Join(root, "/sys/class/dmi/id/chassis_asset_tag"))
	return err == nil && strings.TrimSpace(string(tag)) == azure
}

// Devices are the block devices that are there now and may provision: by label,
// and in Azure the DVD drives.
func Devices(root string) (paths []string) {
	add := func(path string) {
		if real, err := filepath.EvalSymlinks(filepath.Join(root, path)); err == nil && !slices.Contains(paths, real) {
			paths = append(paths, real)
		}
	}
	for _, label := range Labels {
		add("/dev/disk/by-label/" + label)
	}
	if Azure(root) {
		drives, _ := filepath.Glob(filepath.Join(root, "/dev/sr*")) // the pattern is well-formed
		for _, d := range drives {
			add(strings.TrimPrefix(d, root))
		}
	}
	return paths
}

// Attached are Devices. While nobody has provisioned the appliance (fresh) udev first
// sees what is attached already, by settle: a seed has to be taken before networkd
// configures what it says is a port's. What settle fails of is told.
func Attached(root string, fresh bool, settle func() error) (paths []string, err error) {
	if fresh {
		if err = settle(); err != nil {
			err = fmt.Errorf("udev has not looked at all that is attached; what it finds later is taken then: %w", err)
		}
	}
	return Devices(root), err
}

// settleTime bounds how long Settle holds a boot up.
const settleTime = 5 * time.Second

// Settle waits until udev has worked off what it knows of.
func Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime+time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "udevadm", "settle", fmt.Sprintf("--timeout=%d", int(settleTime.Seconds()))).CombinedOutput()
	if err != nil {
		return fmt.Errorf("udevadm settle: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Describe is the source for people, by what is on the medium.
func Describe(device string, from fs.FS) string {
	switch kind(from) {
	case ovf:
		return "Azure's provisioning DVD " + device
	case cloud:
		return "NoCloud medium " + device
	}
	return "LINKSEAL medium " + device
}

const (
	own = iota
	cloud
	ovf
)

// kind tells a medium by its content: a linkseal.yaml counts before the rest.
func kind(from fs.FS) int {
	has := func(name string) bool {
		_, err := fs.Lstat(from, name)
		return err == nil
	}
	switch {
	case has(medium.Config), has(medium.AuthorizedKeys):
		return own
	case has("user-data"):
		return cloud
	case has(ovfenv.Name):
		return ovf
	}
	return own
}

// Read takes what a medium has, by what it is.
func Read(from fs.FS, inAzure bool) (*bundle.Bundle, error) {
	switch kind(from) {
	case cloud:
		return nocloud.Read(from)
	case ovf:
		if !inAzure {
			return nil, errors.New(ovfenv.Name + " is Azure's, and this machine is not: its chassis asset tag is another; accepted: a linkseal.yaml at the root, or user-data")
		}
		return ovfenv.Read(from)
	}
	return medium.Read(from)
}

// Open opens the medium in device, which the caller closes.
func Open(device string) (*mount.Medium, error) { return mount.Open(device) }
