// Package seed makes the media that an appliance is provisioned from: a CD or a
// stick with a label and files.
package seed

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Files are a medium's, by path.
type Files map[string]string

// tree writes the files below a new directory.
func (f Files) tree() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "linkseal-seed-"); err != nil {
		return "", err
	}
	for name, text := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return dir, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// CD makes an ISO 9660 file system with Joliet and Rock Ridge at path.
func CD(path, label string, files Files) error {
	dir, err := files.tree()
	defer os.RemoveAll(dir)
	if err != nil {
		return err
	}
	return CDOf(path, label, dir)
}

// CDOf makes one of what is in a directory.
func CDOf(path, label, dir string) error {
	return run("genisoimage", "genisoimage", "-quiet", "-J", "-r", "-V", label, "-o", path, dir)
}

// Stick makes a FAT file system at path, without a partition table.
func Stick(path, label string, files Files) error {
	dir, err := files.tree()
	defer os.RemoveAll(dir)
	if err != nil {
		return err
	}
	os.Remove(path)
	if err := run("dosfstools", "mkfs.vfat", "-C", "-n", label, path, "4096"); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := run("mtools", "mcopy", "-s", "-i", path, filepath.Join(dir, e.Name()), "::/"); err != nil {
			return err
		}
	}
	return nil
}

// run says which package has the program, should it be missing.
func run(pkg, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK=1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s; run: apt-get install %s", name, err, said.String(), pkg)
	}
	return nil
}
