package update

import (
	"fmt"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot"
)

// Running is what runs.
type Running struct {
	Version, Arch string
	Boot          part.Boot // by the kernel's command line
}

// named tells whether a file that an install or a removal may have left is of what runs:
// a rename that the power cut can leave both names, of the same clusters, and with the
// one to be rid of go those of the other.
func (r Running) named(file string) bool {
	return file == slot.Temporary(r.Version) || file == slot.Retired(r.Version)
}

// judge refuses an update that must not be installed, or cannot be. It changes
// nothing.
func judge(m *bundle.Manifest, run Running, ukis []slot.UKI, root, verity, room int64) error {
	if m.Arch != run.Arch {
		return fmt.Errorf("the update is for %s, and this machine is %s", m.Arch, run.Arch)
	}
	switch c := slot.Compare(m.Version, run.Version); {
	case c == 0:
		return fmt.Errorf("version %s is what runs; accepted: a newer one", m.Version)
	case c < 0:
		return fmt.Errorf("version %s is older than %s, which runs; accepted: a newer one. To go back, write the older image to the disk", m.Version, run.Version)
	}
	// What finds a slot by its UUID must find one.
	if m.Part(part.Root).UUID == run.Boot.Root || m.Part(part.Verity).UUID == run.Boot.Verity {
		return fmt.Errorf("version %s has the file system %s, which runs as version %s; build it anew", m.Version, run.Boot.Root, run.Version)
	}
	var trial, good string // the names of what runs; after a cut it may have both
	for _, u := range ukis {
		switch {
		case u.Err != nil || u.Boot != run.Boot:
			room += u.Size // it will be removed
		case u.Trial:
			trial = u.Name
		default:
			good = u.Name
		}
	}
	switch {
	case good != "":
	case trial != "":
		return fmt.Errorf("version %s is on trial itself (%s): systemd-boot goes back to the other slot if it fails. Wait until linkseal image status says that it is good; systemctl status linkseal-health tells what it waits for", run.Version, trial)
	default:
		return fmt.Errorf("version %s runs, and its kernel image is not on the EFI system partition: without it nothing could be booted but the update. Write the image to the disk anew", run.Version)
	}
	for _, p := range []struct {
		name  string
		room  int64
		where string
	}{{part.Root, root, "its partition has"}, {part.Verity, verity, "its partition has"}, {part.UKI, room, "the EFI system partition has room for"}} {
		if size := m.Part(p.name).Size; size > p.room {
			return fmt.Errorf("%s has %d octets, and %s %d; write the image to a disk anew", p.name, size, p.where, p.room)
		}
	}
	return nil
}
