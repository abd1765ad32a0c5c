package status

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A broker gives a socket of the daemon's to a group, and nothing else.
func TestLentGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to a group that it is not in")
	}
	dir := t.TempDir()
	inode := func(path string) uint32 {
		i, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(i.Sys().(*syscall.Stat_t).Ino)
	}
	groupOf := func(path string) uint32 {
		i, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return i.Sys().(*syscall.Stat_t).Gid
	}
	listen := func(name string) string {
		path := filepath.Join(dir, name)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return path
	}
	ours, others := listen("ours"), listen("others")
	if err := os.Chown(others, 65534, -1); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lend(dir, 1234, inode(ours)); err != nil || groupOf(ours) != 1234 {
		t.Errorf("ours: %v, group %d", err, groupOf(ours))
	}
	for _, path := range []string{others, file} {
		before := groupOf(path)
		if err := lend(dir, 1234, inode(path)); !errors.Is(err, os.ErrNotExist) || groupOf(path) != before {
			t.Errorf("%s: %v, group %d", path, err, groupOf(path))
		}
	}
	if err := lend(dir, 1<<32-1, inode(ours)); err == nil {
		t.Error("no group at all was accepted")
	}
}
