package vm

import (
	"bytes"
	"fmt"
	"path"
)

// archive builds an initramfs: cpio in the "newc" format of
// Documentation/driver-api/early-userspace/buffer-format.rst.
type archive struct {
	buf  bytes.Buffer
	ino  int
	dirs map[string]bool
}

// Mode bits of the entries.
const (
	modeDir  = 0o040755
	modeFile = 0o100755
	modeChar = 0o020600
)

func newArchive() *archive { return &archive{dirs: map[string]bool{".": true}} }

// file adds a file, and the directories that lead to it.
func (a *archive) file(name string, data []byte) {
	a.dir(path.Dir(name))
	a.entry(name, modeFile, 0, 0, data)
}

func (a *archive) dir(name string) {
	if a.dirs[name] {
		return
	}
	a.dirs[name] = true
	a.dir(path.Dir(name))
	a.entry(name, modeDir, 0, 0, nil)
}

// char adds a character device.
func (a *archive) char(name string, major, minor int) {
	a.dir(path.Dir(name))
	a.entry(name, modeChar, major, minor, nil)
}

func (a *archive) entry(name string, mode, rmajor, rminor int, data []byte) {
	a.ino++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, rmajor, rminor, len(name)+1, 0, name)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

// bytes ends the archive.
func (a *archive) bytes() []byte {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.buf.Bytes()
}
