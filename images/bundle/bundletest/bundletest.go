// Package bundletest makes small images: parts that say of themselves what those of
// a real image do, and hold noise besides.
package bundletest

import (
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/part"
)

// Image is the parts of an image by their names.
type Image map[string][]byte

// Boot is what the UKI of a version says, and the parts are.
func Boot(version string) part.Boot {
	id := func(of string) string {
		sum := sha256.Sum256([]byte(of + version))
		h := hex.EncodeToString(sum[:16])
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
	sum := sha256.Sum256([]byte("hash" + version))
	return part.Boot{Root: id("root"), Verity: id("verity"), Hash: hex.EncodeToString(sum[:])}
}

// CommandLine is the one with which a version is booted.
func CommandLine(version string) string {
	b := Boot(version)
	return fmt.Sprintf("linkseal.root=%s linkseal.verity=%s linkseal.hash=%s panic=10", b.Root, b.Verity, b.Hash)
}

// New makes an image of a version: size octets of root, and a quarter of it each
// of the rest.
func New(version string, size int) Image {
	seed := sha256.Sum256([]byte(version))
	noise := rand.NewChaCha8(seed)
	fill := func(n int) []byte {
		b := make([]byte, max(n, 2048))
		_, _ = noise.Read(b)
		return b
	}
	boot := Boot(version)
	root := fill(size)
	copy(root[1024:], "\xe2\xe1\xf5\xe0")
	copy(root[1024+48:], raw(boot.Root))
	verity := fill(size / 4)
	copy(verity, "verity\x00\x00")
	copy(verity[16:], raw(boot.Verity))
	return Image{part.Root: root, part.Verity: verity, part.UKI: UKI(CommandLine(version), fill(size/4))}
}

func raw(uuid string) []byte {
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(uuid), []byte("-"), nil)))
	if err != nil {
		panic(err)
	}
	return b
}

// UKI is a PE file with a section .cmdline, then rest.
func UKI(line string, rest []byte) []byte {
	const header = 0x40
	var b bytes.Buffer
	b.Write(append([]byte("MZ"), make([]byte, header-2)...))
	binary.LittleEndian.PutUint32(b.Bytes()[0x3c:], header)
	b.WriteString("PE\x00\x00")
	_ = binary.Write(&b, binary.LittleEndian, pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1})
	s := pe.SectionHeader32{VirtualSize: uint32(len(line)), SizeOfRawData: uint32(len(line)+511) &^ 511, PointerToRawData: 512}
	copy(s.Name[:], ".cmdline")
	_ = binary.Write(&b, binary.LittleEndian, s)
	b.Write(make([]byte, 512-b.Len()))
	b.WriteString(line)
	b.Write(make([]byte, 512+int(s.SizeOfRawData)-b.Len()))
	b.Write(rest)
	return b.Bytes()
}

// Keys makes a key pair in a directory of its own.
func Keys(t testing.TB) (bundle.Signer, bundle.Key) {
	t.Helper()
	private, public, err := bundle.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"update.key": private, "update.pub": public} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := bundle.ReadSigner(filepath.Join(dir, "update.key"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := bundle.ReadKey(filepath.Join(dir, "update.pub"))
	if err != nil {
		t.Fatal(err)
	}
	return s, k
}

// Update is an image as an update file.
func Update(t testing.TB, image Image, version, arch string, s bundle.Signer) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range image {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := bundle.Write(&out, bundle.Source{Version: version, Arch: arch, Dir: dir, Signer: s}, dir); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
