package deb

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVersions: what a later commit makes is a newer package, whatever its hash, and a
// release is newer than all before it.
func TestVersions(t *testing.T) {
	dir := t.TempDir()
	here := filepath.Join(dir, "images", "deb")
	if err := os.MkdirAll(here, 0o755); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("version")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(here, "version"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	// A repository of its own, whoever runs this and from where.
	env := []string{"GIT_DIR=" + filepath.Join(dir, ".git"), "GIT_WORK_TREE=" + dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@t.invalid", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@t.invalid"}
	git := func(args ...string) { run(t, env, "git", args...) }
	version := func() string {
		v := strings.TrimSpace(run(t, env, filepath.Join(here, "version")))
		if out, err := exec.Command("dpkg", "--validate-version", v).CombinedOutput(); err != nil {
			t.Errorf("%q: %s", v, out)
		}
		return v
	}
	day := 0
	commit := func() string {
		day++
		env = append(env, fmt.Sprintf("GIT_COMMITTER_DATE=2026-12-%02dT23:59:59-05:00", day))
		git("commit", "-q", "--allow-empty", "-m", "x")
		return version()
	}
	git("init", "-q")
	git("add", "images")
	all := []string{commit(), commit()}
	if !regexp.MustCompile(`^0~git20261203\.045959\.[0-9a-f]{7}$`).MatchString(all[1]) {
		t.Errorf("the second commit is %s, want its time in UTC", all[1])
	}
	git("tag", "v0.1.0-rc1")
	all = append(all, version(), commit())
	git("tag", "v0.1.0")
	all = append(all, version(), commit())
	if all[2] != "0.1.0~rc1" || all[4] != "0.1.0" || !strings.HasPrefix(all[5], "0.1.0+git2026") {
		t.Errorf("releases: %q", all)
	}
	if err := os.WriteFile(filepath.Join(here, "version"), append(script, '\n'), 0o755); err != nil {
		t.Fatal(err)
	}
	all = append(all, version())
	if !strings.HasSuffix(all[6], "+dirty") {
		t.Errorf("with a file that is not committed: %s", all[6])
	}
	for i := 1; i < len(all); i++ {
		if err := exec.Command("dpkg", "--compare-versions", all[i-1], "lt", all[i]).Run(); err != nil {
			t.Errorf("%s is not older than %s", all[i-1], all[i])
		}
	}
}
