package update_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/bundle/bundletest"
	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/images/slot/slottest"
	"github.com/linkseal/linkseal/images/update"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// appliance is a machine of loop devices that runs a version in slot a.
type appliance struct {
	update.Machine
	t         *testing.T
	signer    bundle.Signer
	dir       string
	b         string // slot b's file
	said      strings.Builder
	meanwhile func(said string)

	unknown error // what was before an install
}

func newAppliance(t *testing.T) *appliance {
	t.Helper()
	probetest.NeedTool(t, "losetup", "mkfs.vfat")
	dir := t.TempDir()
	a := &appliance{t: t, dir: dir}
	sys := slottest.Sys{T: t, Dir: filepath.Join(dir, "sys")}
	mount, esp := slottest.ESP(t)
	parts := []slot.Partition{esp}
	for _, name := range []string{"root-a", "root-a-verity", "root-b", "root-b-verity"} {
		p, file := slottest.Partition(t, name, 2<<20)
		if parts = append(parts, p); name == "root-b" {
			a.b = file
		}
	}
	sys.Partitions("vda", parts...)
	sys.Mapped("root", "CRYPT-VERITY-00-root", parts[1].Device, parts[2].Device)
	sys.Write("firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\x00\x00\x00\x01")
	private, public, err := bundle.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	a.Machine = update.Machine{Sys: sys.Dir, Dev: "/dev", Root: dir, ESP: mount, CommandLine: filepath.Join(dir, "cmdline"), Release: filepath.Join(dir, "os-release"), Key: filepath.Join(dir, "update.pub"), State: filepath.Join(dir, "state")}
	a.put(a.CommandLine, []byte("quiet "+bundletest.CommandLine(running)+"\n"))
	a.put(a.Release, []byte("ID=linkseal\nIMAGE_ID=\"linkseal\"\nIMAGE_VERSION="+running+"\n"))
	a.put(a.Key, public)
	a.put(filepath.Join(dir, "update.key"), private)
	a.put(filepath.Join(mount, "EFI/Linux/linkseal_"+running+".efi"), bundletest.New(running, 9000)[part.UKI])
	if a.signer, err = bundle.ReadSigner(filepath.Join(dir, "update.key")); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *appliance) put(path string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// file is an update file of a version.
func (a *appliance) file(version string) string {
	a.t.Helper()
	path := filepath.Join(a.dir, "linkseal-"+version+".update")
	a.put(path, bundletest.Update(a.t, bundletest.New(version, 1<<20), version, "amd64", a.signer))
	return path
}

func (a *appliance) install(path string) error {
	return a.Install(path, func() (health.Record, error) {
		return health.Record{Configured: true, Ports: []string{"link1"}}, a.unknown
	},
		func(f string, args ...any) {
			fmt.Fprintf(&a.said, f+"\n", args...)
			if a.meanwhile != nil {
				a.meanwhile(fmt.Sprintf(f, args...))
			}
		})
}

func (a *appliance) overview() update.Overview {
	a.t.Helper()
	o, err := a.Overview()
	if err != nil {
		a.t.Fatal(err)
	}
	return o
}

func TestMachine(t *testing.T) {
	a := newAppliance(t)
	if o := a.overview(); o.Running.State != update.Good || o.Other.State != update.Empty || o.SecureBoot != slot.On || o.Last != nil || o.Running.Slot != "a" {
		t.Errorf("%+v", o)
	}
	// Nobody takes what goes on for what was cut, nor installs beside it.
	file, saw := a.file(newer), 0
	a.meanwhile = func(said string) {
		if !strings.HasPrefix(said, "slot b: root.") {
			return
		}
		saw++
		if o := a.overview(); o.Other.State != update.Empty || o.Last == nil || o.Last.Result != update.Installing {
			t.Errorf("while it is written: %+v, %+v", o, o.Last)
		}
		if err := a.Install(file, nil, nil); err == nil || !strings.Contains(err.Error(), "another install goes on") {
			t.Error(err)
		}
	}
	if err := a.install(file); err != nil {
		t.Fatal(err)
	}
	if a.meanwhile = nil; saw != 2 {
		t.Errorf("%d parts were seen being written", saw)
	}
	o := a.overview()
	if o.Other.Version != newer || o.Other.State != update.Trial || *o.Other.TriesLeft != 3 || o.Last.Result != update.Waiting || o.Last.From != running {
		t.Errorf("%+v, %+v", o, o.Last)
	}
	if got, err := os.ReadFile(a.b); err != nil || !bytes.HasPrefix(got, bundletest.New(newer, 1<<20)[part.Root]) {
		t.Errorf("slot b has other octets, %v", err)
	}
	r, err := health.LoadRecord(a.State)
	if err != nil || r.Version != newer || r.Slot != "b" || !r.Configured || len(r.Ports) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// As systemd-boot leaves it when no try was good.
	linux := filepath.Join(a.ESP, "EFI/Linux")
	if err := os.Rename(filepath.Join(linux, slot.OnTrial(newer)), filepath.Join(linux, "linkseal_"+newer+"+0-3.efi")); err != nil {
		t.Fatal(err)
	}
	if o := a.overview(); o.Other.State != update.Failed || o.Last.Result != update.FellBack || !strings.Contains(o.Text(), "none of its 3 boots") {
		t.Errorf("%+v\n%s", o, o.Text())
	}
	// What the firmware says is not all that there is to tell.
	if err := os.RemoveAll(filepath.Join(a.Sys, "firmware/efi/efivars")); err != nil {
		t.Fatal(err)
	}
	if o := a.overview(); !strings.HasPrefix(o.SecureBoot, "unknown: ") || o.Other.State != update.Failed {
		t.Errorf("%+v", o)
	}
	// A newer one takes its place.
	a.said.Reset()
	if err := a.install(a.file("20261127.000000")); err != nil {
		t.Fatal(err)
	}
	if said := a.said.String(); !strings.Contains(said, "slot b: version "+newer+" is removed (linkseal_"+newer+"+0-3.efi)") {
		t.Error(said)
	}
	files, err := filepath.Glob(filepath.Join(linux, "*"))
	if err != nil || len(files) != 2 {
		t.Errorf("%q, %v", files, err)
	}
}

func TestMachineRefuses(t *testing.T) {
	a := newAppliance(t)
	good := a.file(newer)
	if err := a.install(a.file(older)); err == nil || !strings.Contains(err.Error(), "is older than "+running) {
		t.Error(err)
	}
	if err := a.install(filepath.Join(a.dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	a.put(a.Release, []byte("ID=debian\n"))
	if err := a.install(good); !errors.Is(err, slot.ErrNoImage) {
		t.Error(err)
	}
	a.put(a.Release, []byte("IMAGE_ID=linkseal\nIMAGE_VERSION=banana\n"))
	if err := a.install(good); err == nil || !strings.Contains(err.Error(), `IMAGE_VERSION: version "banana"`) {
		t.Error(err)
	}
	a.Sys = t.TempDir()
	if err := a.install(good); err == nil {
		t.Error("installed on a machine without a disk")
	}
	if got, err := os.ReadFile(a.b); err != nil || len(bytes.Trim(got, "\x00")) > 0 {
		t.Errorf("slot b was written, %v", err)
	}
}

// The root is verified if the file system at it is the mapped device, and that of
// the hash tree that the command line names.
func TestVerity(t *testing.T) {
	a := newAppliance(t)
	verity := func(want bool, what string) {
		t.Helper()
		o := a.overview()
		if o.Verity != want || strings.Contains(o.Text(), "NOT VERIFIED") == want {
			t.Errorf("%s: %+v\n%s", what, o, o.Text())
		}
	}
	verity(false, "another tree, another file system")
	sys := slottest.Sys{T: t, Dir: a.Sys}
	var st unix.Stat_t
	if err := unix.Stat(a.Root, &st); err != nil {
		t.Fatal(err)
	}
	const dm = "devices/virtual/block/dm-0/"
	sys.Write(dm+"uevent", fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=dm-0\n", unix.Major(st.Dev), unix.Minor(st.Dev)))
	verity(false, "another tree")
	uuid := "CRYPT-VERITY-" + strings.ReplaceAll(bundletest.Boot(running).Verity, "-", "") + "-root"
	sys.Write(dm+"dm/uuid", uuid+"\n")
	verity(true, "what was signed")
	a.Root = "/proc"
	verity(false, "another file system")
}

// An update that could be held against nothing is not installed.
func TestNothingKnownBefore(t *testing.T) {
	a := newAppliance(t)
	a.unknown = errors.New("the daemon does not answer")
	if err := a.install(a.file(newer)); err == nil || !strings.Contains(err.Error(), newer+" is not installed: the daemon does not answer") {
		t.Errorf("%v", err)
	}
	if o := a.overview(); o.Other.State != update.Empty || o.Last != nil {
		t.Errorf("%+v, %+v", o, o.Last)
	}
}

// A version on trial whose record is lost, torn or another's is held against all
// that has to be secured; one that is not on trial is not.
func TestRecordLost(t *testing.T) {
	a := newAppliance(t)
	const lost = "which is on trial, is not known: all that is secure: must"
	strict := func() bool {
		t.Helper()
		a.said.Reset()
		ctx, stop := context.WithCancel(t.Context())
		stop() // one look
		if err := a.Health(ctx, filepath.Join(a.dir, "none.yaml"), func(f string, args ...any) { fmt.Fprintf(&a.said, f+"\n", args...) }); err == nil {
			t.Error("a machine of loop devices is healthy")
		}
		return strings.Contains(a.said.String(), lost)
	}
	if strict() {
		t.Errorf("what is good already: %s", a.said.String())
	}
	linux := filepath.Join(a.ESP, "EFI/Linux")
	if err := os.Rename(filepath.Join(linux, "linkseal_"+running+".efi"), filepath.Join(linux, "linkseal_"+running+"+2-1.efi")); err != nil {
		t.Fatal(err)
	}
	if !strict() {
		t.Errorf("no record: %s", a.said.String())
	}
	if err := health.SaveRecord(a.State, health.Record{Version: newer}); err != nil || !strict() {
		t.Errorf("another's record: %v, %s", err, a.said.String())
	}
	if err := health.SaveRecord(a.State, health.Record{Version: running}); err != nil || strict() {
		t.Errorf("its own record: %v, %s", err, a.said.String())
	}
	a.put(filepath.Join(a.State, "update.json"), []byte("{"))
	if !strict() {
		t.Errorf("a torn record: %s", a.said.String())
	}
}
