package bundle

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
)

// window bounds what zstd keeps, at both ends.
const window = 8 << 20

// Reader reads an update file from its beginning to its end.
type Reader struct {
	Manifest Manifest

	from *bufio.Reader
	tar  *tar.Reader
}

// Open reads the manifest and verifies its signature; no more of r is looked at.
func Open(r io.Reader, key Key) (*Reader, error) {
	b := &Reader{from: bufio.NewReader(r)}
	b.tar = tar.NewReader(b.from)
	text, err := b.small("manifest.json", maxManifest)
	if err != nil {
		return nil, err
	}
	signature, err := b.small("manifest.json.minisig", maxSignature)
	if err != nil {
		return nil, err
	}
	// What is not signed is not parsed.
	if err := key.verify(text, signature); err != nil {
		return nil, err
	}
	if b.Manifest, err = ParseManifest(text); err != nil {
		return nil, err
	}
	return b, nil
}

// next goes to the entry that must come next, of the given size at the most.
func (b *Reader) next(name string, most int64) (size int64, err error) {
	h, err := b.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("the file ends where %s should be; is it an update file, and whole?", name)
	case err != nil:
		return 0, fmt.Errorf("where %s should be: %w; is it an update file, and whole?", name, err)
	case h.Name != name || h.Typeflag != tar.TypeReg || h.Format != tar.FormatUSTAR || h.Linkname != "":
		return 0, fmt.Errorf("the archive has %.60q (type %q) where the plain file %s should be", h.Name, h.Typeflag, name)
	case h.Size > most:
		return 0, fmt.Errorf("%s: %d octets; accepted: up to %d", name, h.Size, most)
	}
	return h.Size, nil
}

// small reads an entry into memory.
func (b *Reader) small(name string, most int64) ([]byte, error) {
	size, err := b.next(name, most)
	if err != nil {
		return nil, err
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(b.tar, text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, damaged(err))
	}
	return text, nil
}

// Each calls do with each part in the manifest's order; do reads the part to its
// end. What it is given ends with an error, and not with io.EOF, unless it was in
// full what the manifest says. When Each returns nil the whole file was.
func (b *Reader) Each(do func(Part, io.Reader) error) error {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return err
	}
	defer z.Close()
	for _, p := range b.Manifest.Parts {
		// What does not compress gets a little longer.
		if _, err := b.next(p.Name+".zst", p.Size+p.Size>>8+1<<10); err != nil {
			return err
		}
		if err := z.Reset(b.tar); err != nil {
			return fmt.Errorf("%s: %w", p.Name, damaged(err))
		}
		body := &body{part: p, from: z, left: p.Size, sum: sha256.New()}
		if err := do(p, body); err != nil {
			return err
		}
		if !body.done {
			return fmt.Errorf("%s was not read to its end", p.Name)
		}
	}
	if h, err := b.tar.Next(); err == nil {
		return fmt.Errorf("the archive has %.60q after its last part", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last part: %w", err)
	}
	if _, err := b.from.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the archive's end")
	}
	return nil
}

// Check reads all parts, as Each does, and keeps none.
func (b *Reader) Check() error {
	return b.Each(func(_ Part, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}

// body is a part, uncompressed. It gives no more octets than the part has.
type body struct {
	part Part
	from io.Reader
	left int64
	sum  hash.Hash
	done bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	if b.left == 0 {
		return 0, b.end()
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.sum.Write(p[:n])
	b.left -= int64(n)
	switch {
	case err == nil || errors.Is(err, io.EOF) && b.left == 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("%s: it ends %d octets short of what the manifest says", b.part.Name, b.left)
	}
	return n, fmt.Errorf("%s: %w", b.part.Name, damaged(err))
}

// end is what follows the last octet: io.EOF if all is as it should be.
func (b *body) end() error {
	var more [1]byte
	switch n, err := io.ReadFull(b.from, more[:]); {
	case n > 0:
		return fmt.Errorf("%s: it is longer than the %d octets that the manifest says", b.part.Name, b.part.Size)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", b.part.Name, damaged(err))
	}
	if got := hex.EncodeToString(b.sum.Sum(nil)); got != b.part.SHA256 {
		return fmt.Errorf("%s: sha256 %s, and the manifest says %s; the file is damaged: get it again", b.part.Name, got, b.part.SHA256)
	}
	b.done = true
	return io.EOF
}

// damaged tells what kept octets from being unpacked: the medium, or the file that ends
// where more should be, or is another than was made.
func damaged(err error) error {
	var medium *fs.PathError
	switch {
	case errors.As(err, &medium):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends in the middle; get it again")
	}
	return fmt.Errorf("the file is damaged: %w; get it again", err)
}
