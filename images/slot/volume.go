package slot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is one on a Volume.
type File struct {
	Name string
	Size int64
}

// Directory is where systemd-boot looks for UKIs, on the EFI system partition.
type Directory struct {
	root *os.Root
	self *os.File
}

// OpenDirectory opens /EFI/Linux of the EFI system partition p, mounted at mount.
func OpenDirectory(mount string, p Partition) (*Directory, error) {
	path := filepath.Join(mount, "EFI/Linux")
	root, err := os.OpenRoot(path) // which mounts it
	if err != nil {
		return nil, fmt.Errorf("EFI system partition: %w; systemctl status efi.automount efi.mount tells of it", err)
	}
	d := &Directory{root: root}
	var st unix.Stat_t
	if d.self, err = root.Open("."); err == nil {
		err = unix.Fstat(int(d.self.Fd()), &st)
	}
	if err == nil && p.Number != st.Dev {
		err = fmt.Errorf("it is not on the disk that was booted: partition %s (%s) is not what is mounted there", p.Name, p.Device)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("EFI system partition at %s: %w", mount, err), d.Close())
	}
	return d, nil
}

// Close gives the directory back.
func (d *Directory) Close() error {
	err := d.root.Close()
	if d.self != nil {
		err = errors.Join(err, d.self.Close())
	}
	return err
}

// Files are those in the directory.
func (d *Directory) Files() (files []File, err error) {
	all, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files = append(files, File{e.Name(), info.Size()})
		}
	}
	return files, nil
}

// Room is how many octets can be written.
func (d *Directory) Room() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.self.Fd()), &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// ReadCloserAt is what Open returns.
type ReadCloserAt interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Open opens a file. What the kernel keeps of it is forgotten first, so that it is
// read from the disk.
func (d *Directory) Open(name string) (ReadCloserAt, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		f.Close()
		return nil, fmt.Errorf("drop the cache of %s: %w", name, err)
	}
	return f, nil
}

// Write writes a file, which is on the disk when it returns.
func (d *Directory) Write(name string, from io.Reader) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return d.sync()
}

// Rename renames a file, which is so on the disk when it returns.
func (d *Directory) Rename(from, to string) error {
	if err := d.root.Rename(from, to); err != nil {
		return err
	}
	return d.sync()
}

// Remove removes a file, which is so on the disk when it returns.
func (d *Directory) Remove(name string) error {
	if err := d.root.Remove(name); err != nil {
		return err
	}
	return d.sync()
}

// sync writes the file system, then has the directory's fsync flush the disk's own
// cache, which syncfs of vfat does not.
func (d *Directory) sync() error {
	fd := int(d.self.Fd())
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("sync the EFI system partition: %w", err)
	}
	return d.self.Sync()
}
