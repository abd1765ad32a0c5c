package deb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/built"
)

// run runs a program, which has to succeed, and returns its output.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v; make deps installs what it needs\n%s", name, args, err, out)
	}
	return string(out)
}

// TestPackage: two builds, under other circumstances, are the same; lintian finds
// nothing wrong; and everything is where it belongs.
func TestPackage(t *testing.T) {
	probetest.NeedTool(t, "dpkg-buildpackage", "dh", "lintian")
	program, err := built.Linkseal()
	if err != nil {
		t.Fatal(err)
	}
	var packages, paths []string
	for _, env := range [][]string{{"TZ=Asia/Tokyo", "LC_ALL=C", "DEB_BUILD_OPTIONS=parallel=1"}, {"TZ=UTC", "HOME=/nonexistent", "DEB_BUILD_OPTIONS=parallel=7"}} {
		dir := t.TempDir()
		path := strings.TrimSpace(run(t, env, "./build", dir, program))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		packages, paths = append(packages, string(text)), append(paths, path)
	}
	if packages[0] != packages[1] || filepath.Base(paths[0]) != filepath.Base(paths[1]) {
		t.Errorf("two builds differ: %s, %s", paths[0], paths[1])
	}
	// Overrides are for what is so on purpose, each with its reason.
	if out := run(t, nil, "lintian", "--allow-root", "--fail-on", "error,warning", paths[0]); strings.Contains(out, "E: ") || strings.Contains(out, "W: ") {
		t.Error(out)
	}
	list := run(t, nil, "dpkg-deb", "-c", paths[0])
	for _, want := range []string{
		"-rwxr-xr-x root/root ./usr/bin/linkseal", "drwx------ root/root ./etc/linkseal/", "drwx------ root/root ./etc/linkseal/keys/",
		"-rw-r--r-- root/root ./lib/systemd/system/linkseal.service", "-rw-r--r-- root/root ./lib/systemd/system/linkseal-broker.service",
		"-rw-r--r-- root/root ./lib/systemd/system/linkseal-broker.socket", "-rw-r--r-- root/root ./usr/share/man/man1/linkseal.1.gz",
		"-rw-r--r-- root/root ./usr/share/bash-completion/completions/linkseal", "-rwxr-xr-x root/root ./usr/libexec/linkseal/strongswan-may-run",
		"-rwxr-xr-x root/root ./usr/libexec/linkseal/strongswan-give-way",
		"-rw-r--r-- root/root ./lib/systemd/system/strongswan.service.d/linkseal.conf",
	} {
		if !contains(list, want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	recommends := run(t, nil, "dpkg-deb", "-f", paths[0], "Recommends")
	for _, want := range []string{"charon-systemd", "libstrongswan-standard-plugins", "libcharon-extra-plugins"} {
		if !strings.Contains(recommends, want) {
			t.Errorf("does not recommend %s", want)
		}
	}
	control := t.TempDir()
	run(t, nil, "dpkg-deb", "-e", paths[0], control)
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		run(t, nil, "sh", "-n", filepath.Join(control, script))
	}
	if text, err := os.ReadFile(filepath.Join(control, "prerm")); err != nil || bytes.Contains(text, []byte("upgrade")) {
		t.Errorf("an upgrade stops something before the new one is there: %v\n%s", err, text)
	}
}

// contains tells whether a line of dpkg-deb -c has the mode, the owner and the path.
func contains(list, want string) bool {
	w := strings.Fields(want)
	for _, line := range strings.Split(list, "\n") {
		if f := strings.Fields(line); len(f) >= 6 && f[0] == w[0] && f[1] == w[1] && f[5] == w[2] {
			return true
		}
	}
	return false
}

// verbs are those that `linkseal help` lists below one, and what it lists below them.
func verbs(t *testing.T, program string, of ...string) (all []string) {
	t.Helper()
	_, list, is := strings.Cut(run(t, nil, program, append([]string{"help"}, of...)...), "\nAvailable Commands:\n")
	if !is {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, line := range strings.Split(list, "\n") {
		verb := append(slices.Clone(of), strings.Fields(line)[0])
		all = append(append(all, strings.Join(verb, " ")), verbs(t, program, verb...)...)
	}
	return all
}

// TestManual: the manual page has every verb, and groff has nothing to say of it.
func TestManual(t *testing.T) {
	program, err := built.Linkseal()
	if err != nil {
		t.Fatal(err)
	}
	page := run(t, nil, "./manpage", program, "2026-01-31")
	all := verbs(t, program)
	if len(all) < 20 || !slices.Contains(all, "keys generate") {
		t.Fatalf("help is not understood: %q", all)
	}
	wants := []string{".TH LINKSEAL 1 \"2026-01-31\"", "\\-\\-config"}
	for _, verb := range all {
		wants = append(wants, "\n.SS \"linkseal "+verb+"\"\n")
	}
	for _, want := range wants {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.HasPrefix(line, ".S") && !strings.HasPrefix(line, ".T") && !strings.HasPrefix(line, ".B") && !strings.HasPrefix(line, ".I") && !strings.HasPrefix(line, ".R") && line != ".nf" && line != ".fi" {
			t.Errorf("help's text is taken for a request: %q", line)
		}
	}
	t.Run("groff", func(t *testing.T) {
		probetest.NeedTool(t, "groff")
		c := exec.Command("groff", "-z", "-ww", "-Kutf8", "-Tutf8", "-man", "-")
		c.Stdin = strings.NewReader(page)
		if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("groff: %v\n%s", err, said)
		}
	})
}
