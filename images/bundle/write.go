package bundle

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/linkseal/linkseal/images/part"
)

// Source says what an update file is made of.
type Source struct {
	Version, Arch string
	Dir           string // has the parts, by their names
	Signer        Signer
}

// Write makes an update file. The same source gives the same octets. What it
// compresses is kept in unnamed files in the directory temp meanwhile.
func Write(w io.Writer, s Source, temp string) error {
	m := Manifest{Format: Format, Image: Image, Version: s.Version, Arch: s.Arch}
	var packed []*os.File
	defer func() {
		for _, f := range packed {
			f.Close()
		}
	}()
	for _, name := range names {
		p, f, err := s.pack(name, temp)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		packed = append(packed, f)
		m.Parts = append(m.Parts, p)
	}
	if err := m.check(); err != nil {
		return err
	}
	if err := s.agree(&m); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	t := tar.NewWriter(w)
	for _, e := range []struct {
		name string
		text []byte
	}{{"manifest.json", text}, {"manifest.json.minisig", s.Signer.sign(text, s.Version)}} {
		if err := t.WriteHeader(entry(e.name, int64(len(e.text)))); err != nil {
			return err
		}
		if _, err := t.Write(e.text); err != nil {
			return err
		}
	}
	for i, f := range packed {
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := t.WriteHeader(entry(names[i]+".zst", size)); err != nil {
			return err
		}
		if _, err := io.Copy(t, f); err != nil {
			return err
		}
	}
	return t.Close()
}

func entry(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
}

// pack compresses a part into a file that has no name any more.
func (s *Source) pack(name, temp string) (p Part, packed *os.File, err error) {
	from, err := os.Open(filepath.Join(s.Dir, name))
	if err != nil {
		return p, nil, err
	}
	defer from.Close()
	p.Name = name
	switch name {
	case part.Root:
		p.UUID, err = part.RootUUID(from)
	case part.Verity:
		p.UUID, err = part.VerityUUID(from)
	}
	if err != nil {
		return p, nil, err
	}
	if packed, err = os.CreateTemp(temp, ".pack"); err != nil {
		return p, nil, err
	}
	defer func() {
		if err != nil {
			packed.Close()
		}
	}()
	if err = os.Remove(packed.Name()); err != nil {
		return p, packed, err
	}
	// One block after the other, so that the octets do not depend on the machine.
	z, err := zstd.NewWriter(packed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return p, packed, err
	}
	sum := sha256.New()
	if p.Size, err = io.Copy(io.MultiWriter(z, sum), from); err != nil {
		return p, packed, err
	}
	p.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return p, packed, z.Close()
}

// agree refuses parts that do not belong together: the UKI names the root and its
// hash tree, and an appliance would not find them.
func (s *Source) agree(m *Manifest) error {
	f, err := os.Open(filepath.Join(s.Dir, part.UKI))
	if err != nil {
		return err
	}
	defer f.Close()
	boot, err := part.UKIBoot(f)
	if err != nil {
		return fmt.Errorf("%s: %w", part.UKI, err)
	}
	root, verity := m.Part(part.Root).UUID, m.Part(part.Verity).UUID
	if boot.Root != root || boot.Verity != verity {
		return fmt.Errorf("%s boots root %s with hash tree %s, and %s is %s, %s is %s", part.UKI, boot.Root, boot.Verity, part.Root, root, part.Verity, verity)
	}
	return nil
}
