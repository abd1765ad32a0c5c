package slot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Device is an open partition.
type Device struct {
	f    *os.File
	size int64
}

// OpenDevice opens a partition to write it, by its name in /dev. One that anything
// uses, such as the running root's, is refused by the kernel.
func OpenDevice(dev string, p Partition) (*Device, error) {
	return open(dev, p, os.O_RDWR|unix.O_EXCL)
}

// ReadDevice opens a partition to read it.
func ReadDevice(dev string, p Partition) (*Device, error) { return open(dev, p, os.O_RDONLY) }

func open(dev string, p Partition, flags int) (*Device, error) {
	f, err := os.OpenFile(filepath.Join(dev, p.Device), flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("partition %s (%s) is in use; nothing is written to it: is it mounted?", p.Name, p.Device)
	}
	if err != nil {
		return nil, fmt.Errorf("partition %s: %w", p.Name, err)
	}
	// A file of that name in /dev, or another device, is not the partition.
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != p.Number) {
		err = errors.New("another file is in its place")
	}
	var end int64
	if err == nil {
		end, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("partition %s (%s): %w", p.Name, f.Name(), err)
	}
	return &Device{f, end}, nil
}

func (d *Device) Size() int64                             { return d.size }
func (d *Device) ReadAt(p []byte, at int64) (int, error)  { return d.f.ReadAt(p, at) }
func (d *Device) WriteAt(p []byte, at int64) (int, error) { return d.f.WriteAt(p, at) }
func (d *Device) Close() error                            { return d.f.Close() }

// Sync has all that was written on the disk, and forgets what the kernel keeps of it:
// what is read then was read back.
func (d *Device) Sync() error {
	if err := d.f.Sync(); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(d.f.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("drop the cache of %s: %w", d.f.Name(), err)
	}
	return nil
}
