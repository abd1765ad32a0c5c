package mount

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Medium is an opened one.
type Medium struct {
	root *os.Root
}

// FS is what is on it.
func (m *Medium) FS() fs.FS { return m.root.FS() }

// Close lets go of the medium.
func (m *Medium) Close() error { return m.root.Close() }

// Open mounts the block device at path.
func Open(path string) (*Medium, error) {
	kind, err := probe(path)
	if err != nil {
		return nil, err
	}
	tree, err := attach(kind, path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read as %s: %w; accepted: a medium that is whole, with vfat, iso9660, udf or ext4", path, kind, err)
	}
	defer unix.Close(tree)
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", tree))
	if err != nil {
		return nil, err
	}
	return &Medium{root}, nil
}

// probe tells which file system is on a block device.
func probe(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().Type() != fs.ModeDevice {
		return "", fmt.Errorf("%s is not a block device; accepted: that of a medium as /dev/sdb1", path)
	}
	head := make([]byte, header)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("%s cannot be read: %w", path, err)
	}
	kind := Kind(head[:n])
	if kind == "" {
		return "", fmt.Errorf("%s has no file system that is read here; accepted: vfat, iso9660, udf, ext4", path)
	}
	return kind, nil
}

// attach makes the mount, and its root as a file descriptor.
func attach(kind, device string) (int, error) {
	f, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("the kernel has no %s: %w", kind, err)
	}
	defer unix.Close(f)
	if err := unix.FsconfigSetString(f, "source", device); err != nil {
		return -1, err
	}
	flags, values := options(kind)
	for _, name := range flags {
		if err := unix.FsconfigSetFlag(f, name); err != nil {
			return -1, fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, value := range values {
		if err := unix.FsconfigSetString(f, name, value); err != nil {
			return -1, fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	if err := unix.FsconfigCreate(f); err != nil {
		return -1, err
	}
	return unix.Fsmount(f, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_NOSYMFOLLOW)
}
