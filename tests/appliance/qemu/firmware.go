package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// The firmware of Debian's package ovmf, which enforces Secure Boot, and its
// variables with no key enrolled: setup mode.
const (
	FirmwareCode = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
	setupVars    = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

var enrolling = regexp.MustCompile(`Enrolling secure boot keys`)

// Enroll boots a machine in setup mode once, lets the boot manager enroll the
// keys that are on the disk, and keeps the variables at golden. It does nothing
// if golden is there.
func Enroll(ctx context.Context, dir, disk, golden string) error {
	if _, err := os.Stat(golden); err == nil {
		return nil
	}
	vars := filepath.Join(dir, "enroll.vars")
	if err := CopyVars(setupVars, vars); err != nil {
		return fmt.Errorf("%w; run: apt-get install ovmf", err)
	}
	m := &Machine{Name: "enroll", Dir: dir, Disk: disk, Vars: vars}
	if err := m.On(); err != nil {
		return err
	}
	defer m.Cut()
	if _, _, err := m.Console().Wait(ctx, 0, enrolling); err != nil {
		return fmt.Errorf("%w\n%s", err, m.Console().Tail(30))
	}
	// It resets the machine when the keys are in.
	if err := m.AwaitReset(ctx, 1); err != nil {
		return fmt.Errorf("%w\n%s", err, m.Console().Tail(30))
	}
	m.Cut()
	return os.Rename(vars, golden)
}

// Overlay makes a disk at path that reads from base, a file of that format, and
// writes to itself. It is as large as size says, or as base if that is 0.
func Overlay(base, format, path string, size int64) (disk string, err error) {
	base, err = filepath.Abs(base)
	if err != nil {
		return "", err
	}
	os.Remove(path)
	args := []string{"create", "-q", "-f", "qcow2", "-F", format, "-b", base, path}
	if size > 0 {
		args = append(args, strconv.FormatInt(size, 10))
	}
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("qemu-img create: %w: %s; run: apt-get install qemu-utils", err, out)
	}
	return "file=" + path + ",format=qcow2", nil
}

// CopyVars gives a machine its own copy of a firmware's variables.
func CopyVars(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
