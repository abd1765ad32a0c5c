// Package part reads what the parts of an appliance image say of themselves: the
// UUID of the root file system (erofs), that of its hash tree (dm-verity), and
// the command line in a unified kernel image (UKI), which names both. By these a
// slot of the disk and the UKI that boots it are known to belong together.
package part

import (
	"debug/pe"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The parts of an image, in the order of an update file.
const (
	Root   = "root.erofs"
	Verity = "root.verity"
	UKI    = "linkseal.efi"
)

// ErrNone says that there is no such part where it was looked for: an empty slot.
var ErrNone = errors.New("there is none")

// RootUUID is the UUID of the erofs file system in r.
func RootUUID(r io.ReaderAt) (string, error) {
	// The superblock begins at 1024: its magic, and the UUID at 48.
	return uuidAt(r, "erofs file system", 1024, "\xe2\xe1\xf5\xe0", 48)
}

// VerityUUID is the UUID of the dm-verity hash tree in r.
func VerityUUID(r io.ReaderAt) (string, error) {
	return uuidAt(r, "dm-verity hash tree", 0, "verity\x00\x00", 16)
}

func uuidAt(r io.ReaderAt, what string, block int64, magic string, at int) (string, error) {
	b := make([]byte, at+16)
	if n, err := r.ReadAt(b, block); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrNone
		}
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if !strings.HasPrefix(string(b), magic) {
		return "", fmt.Errorf("%s: %w", what, ErrNone)
	}
	h := hex.EncodeToString(b[at:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
}

// Boot is what a kernel's command line says of the root that it boots.
type Boot struct {
	Root, Verity string // UUIDs
	Hash         string // the root hash, hex
}

// maxCommandLine is more than the kernel takes.
const maxCommandLine = 16 << 10

// ParseCommandLine finds linkseal.root=, linkseal.verity= and linkseal.hash=.
func ParseCommandLine(line string) (b Boot, err error) {
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		value = strings.ToLower(value)
		switch name {
		case "linkseal.root":
			b.Root = value
		case "linkseal.verity":
			b.Verity = value
		case "linkseal.hash":
			b.Hash = value
		}
	}
	if b.Root == "" || b.Verity == "" || b.Hash == "" {
		return Boot{}, errors.New("the command line lacks linkseal.root=, linkseal.verity= or linkseal.hash=; it is not that of an appliance image")
	}
	return b, nil
}

// UKIBoot reads the command line of the UKI in r.
func UKIBoot(r io.ReaderAt) (b Boot, err error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return Boot{}, fmt.Errorf("not a UKI: %w", err)
	}
	s := f.Section(".cmdline")
	if s == nil {
		return Boot{}, errors.New("not a UKI: it has no section .cmdline")
	}
	// The raw data is padded; the virtual size is the text's.
	n := min(s.Size, s.VirtualSize)
	if n > maxCommandLine {
		return Boot{}, fmt.Errorf("the UKI's command line has %d octets; accepted: up to %d", n, maxCommandLine)
	}
	text := make([]byte, n)
	if _, err := s.ReadAt(text, 0); err != nil {
		return Boot{}, fmt.Errorf("the UKI's command line: %w", err)
	}
	return ParseCommandLine(strings.TrimRight(string(text), "\x00"))
}
