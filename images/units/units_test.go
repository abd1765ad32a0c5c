package units

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// analyze runs systemd-analyze, which needs no systemd that runs.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatalf("%v; run make deps", err)
	}
	c := exec.Command("systemd-analyze", args...)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "SYSTEMD_LOG_TARGET=console")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Whoever gives the daemon a privilege has it weighed. The broker has what is too much
// for a process that reads the network.
func TestExposure(t *testing.T) {
	for unit, most := range map[string]string{"linkseal.service": "2.0", "linkseal-broker.service": "3.7"} {
		out := analyze(t, "security", "--no-pager", "--offline=true", "./"+unit)
		m := regexp.MustCompile(`Overall exposure level for ` + regexp.QuoteMeta(unit) + `: ([0-9]+\.[0-9])`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s: no figure in\n%s", unit, out)
		}
		if len(m[1]) > len(most) || m[1] > most {
			t.Errorf("%s: exposure %s, want %s at the most\n%s", unit, m[1], most, out)
		}
	}
}

// execs are the programs that units run, which are not on this machine.
var execs = regexp.MustCompile(`(?m)^(Exec[A-Za-z]*=[-+!@:|]*)/\S+`)

// TestVerify has systemd read all units that we have, the image's too, and the drop-ins
// of these and of others' units: it is to have nothing to say of them.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	units := make(map[string]bool)
	put := func(path, name string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), execs.ReplaceAll(text, []byte("${1}/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const image = "../rootfs/usr/lib/systemd/system/"
	for _, pattern := range []string{"*.service", "*.socket", image + "*.*"} {
		for _, path := range found(t, pattern) {
			put(path, filepath.Base(path))
			units[filepath.Base(path)] = true
		}
	}
	dropIn := func(path, dropIns string) {
		if err := os.MkdirAll(filepath.Join(dir, dropIns), 0o755); err != nil {
			t.Fatal(err)
		}
		put(path, filepath.Join(dropIns, filepath.Base(path)))
		unit := strings.TrimSuffix(dropIns, ".d")
		if units[unit] {
			return
		}
		// The unit itself is of a package that need not be here.
		text := "[Unit]\nDescription=Another package's\nDefaultDependencies=no\n"
		if strings.HasSuffix(unit, ".service") {
			text += "[Service]\nExecStart=/bin/true\n"
		}
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		units[unit] = true
	}
	for _, path := range found(t, image+"*.d/*.conf") {
		dropIn(path, filepath.Base(filepath.Dir(path)))
	}
	dropIn("../deb/strongswan.conf", "strongswan.service.d")
	args := []string{"verify", "--man=no"}
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		args = append(args, filepath.Join(dir, unit))
	}
	var of []string
	for _, line := range strings.Split(analyze(t, args...), "\n") {
		// Debian's own units are not ours to mend.
		if strings.Contains(line, dir) || strings.Contains(line, "linkseal") {
			of = append(of, line)
		}
	}
	if len(of) > 0 {
		t.Errorf("systemd says:\n%s", strings.Join(of, "\n"))
	}
}

// found are the files of a pattern, of which there is one at the least.
func found(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	paths = slices.DeleteFunc(paths, func(path string) bool {
		i, err := os.Stat(path)
		return err == nil && i.IsDir() // of drop-ins, or of links
	})
	if len(paths) == 0 {
		t.Fatalf("no unit is %s: they are elsewhere now", pattern)
	}
	return paths
}

// TestVerifyBites: what it would not know is told.
func TestVerifyBites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "linkseal-wrong.service")
	if err := os.WriteFile(path, []byte("[Service]\nExecStart=/bin/true\nProtectSytem=strict\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := analyze(t, "verify", "--man=no", path); !strings.Contains(out, "ProtectSytem") {
		t.Errorf("a misspelled key: %q", out)
	}
}

// A daemon that is dead leaves the machine closed and the kernel encrypting, and a
// boot waits for no network.
func TestNothingTearsDown(t *testing.T) {
	text, err := os.ReadFile("linkseal.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := "\n" + string(text)
	for _, must := range []string{"KillMode=process", "RuntimeDirectoryPreserve=yes", "OOMPolicy=continue", "Restart=always", "Type=notify", "RestartPreventExitStatus=78", "StartLimitIntervalSec=0", "DefaultDependencies=no"} {
		if !strings.Contains(unit, "\n"+must+"\n") {
			t.Errorf("without %s", must)
		}
	}
	for _, never := range []string{"ConfigurationDirectoryMode", "ExecStop", "network-online", "BindsTo=", "PrivateNetwork=yes", "sys-subsystem-net"} {
		if strings.Contains(unit, never) {
			t.Errorf("with %s", never)
		}
	}
	if !regexp.MustCompile(`\nBefore=.*\bnetwork-pre\.target\b`).MatchString(unit) {
		t.Error("not before network-pre.target")
	}
	m := regexp.MustCompile(`\nWatchdogSec=([0-9]+)s\n`).FindStringSubmatch(unit)
	if m == nil {
		t.Fatal("without a watchdog")
	}
	var sec int
	if fmt.Sscan(m[1], &sec); sec <= 30 || sec > 60 {
		t.Errorf("a watchdog of %d s: a TPM has 30 s, and MKA's peers wait", sec)
	}
}

// A restart of the daemon restarts its broker, which ends after it and starts before it:
// the daemon asks to the last. No start waits until it answers.
func TestBroker(t *testing.T) {
	for unit, lines := range map[string][]string{
		"linkseal.service": {"Wants=linkseal-broker.service", "After=linkseal-broker.socket linkseal-broker.service", "Nice=-1"},
		"linkseal-broker.service": {"Nice=-1", "PartOf=linkseal.service", "RuntimeDirectory=linkseal", "RuntimeDirectoryMode=0755", "RuntimeDirectoryPreserve=yes", "Type=exec", "WatchdogSec=20s", "TimeoutStartSec=10s", "TimeoutStopSec=2s", "Restart=always",
			"DeviceAllow=char-tpm rw", "DeviceAllow=/dev/char/10:224 rw"},
		"linkseal-broker.socket": {"TriggerLimitIntervalSec=0"},
	} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
				t.Errorf("%s has not %s", unit, line)
			}
		}
	}
}
