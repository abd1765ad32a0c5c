package ipsec

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
)

func TestPrivate(t *testing.T) {
	base := t.TempDir()
	for _, c := range []struct {
		name string
		make func(dir string) error
		want string
	}{
		{"ours", func(dir string) error { return os.MkdirAll(dir, 0o700) }, ""},
		{"below a sticky one", func(dir string) error {
			return all(os.MkdirAll(dir, 0o700), os.Chmod(filepath.Dir(dir), 0o1777|os.ModeSticky))
		}, ""},
		{"readable", func(dir string) error { return all(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o755)) }, "has mode 0755"},
		{"another's", func(dir string) error { return all(os.MkdirAll(dir, 0o700), os.Chown(dir, 65534, 65534)) }, "is user 65534's"},
		{"below what others write to", func(dir string) error { return all(os.MkdirAll(dir, 0o700), os.Chmod(filepath.Dir(dir), 0o777)) }, "others may replace"},
		{"below another's", func(dir string) error { return all(os.MkdirAll(dir, 0o700), os.Chown(filepath.Dir(dir), 65534, 65534)) }, "who may replace"},
		{"a link", func(dir string) error {
			return all(os.MkdirAll(filepath.Dir(dir), 0o700), os.Symlink(base, dir))
		}, "is no directory"},
	} {
		dir := filepath.Join(base, strings.ReplaceAll(c.name, " ", "-"), "charon")
		if err := c.make(dir); err != nil {
			t.Fatal(err)
		}
		switch err := private(dir); {
		case err == nil && c.want != "", err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A process of another user that listens where charon should is told nothing.
func TestForeignCharon(t *testing.T) {
	dir := t.TempDir()
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "vici")
	cmd := exec.Command(os.Args[0], "-test.run=^TestListens$")
	cmd.Env = []string{"LISTEN=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	// The test binary is where others may not be able to run it.
	copied := filepath.Join(dir, "test")
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = copied, dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal("it does not listen: ", err)
	}
	if _, err := strongswan.Dial(path); err == nil || !strings.Contains(err.Error(), "user 65534") {
		t.Errorf("dial: %v", err)
	}
}

// TestListens is the process of TestForeignCharon.
func TestListens(t *testing.T) {
	path := os.Getenv("LISTEN")
	if path == "" {
		return
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = syscall.Listen(fd, 4)
	}
	if err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("l")
	syscall.Pause()
}
