package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzArchive has an archive read before its signature is, and behind a manifest
// that was signed: what comes out in full is what the manifest says.
func FuzzArchive(f *testing.F) {
	const text = "what a part holds"
	sum := sha256.Sum256([]byte(text))
	m := Manifest{Format: Format, Image: Image, Version: "1.2", Arch: "amd64"}
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := z.Write([]byte(text)); err != nil {
		f.Fatal(err)
	}
	z.Close()
	var whole, parts bytes.Buffer
	w, p := tar.NewWriter(&whole), tar.NewWriter(&parts)
	put := func(t *tar.Writer, name string, b []byte) {
		if err := t.WriteHeader(entry(name, int64(len(b)))); err != nil {
			f.Fatal(err)
		}
		if _, err := t.Write(b); err != nil {
			f.Fatal(err)
		}
	}
	put(w, "manifest.json", []byte("{}"))
	put(w, "manifest.json.minisig", []byte("untrusted comment: x\n"))
	for _, name := range names {
		m.Parts = append(m.Parts, Part{Name: name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), UUID: "01234567-89ab-cdef-0123-456789abcdef"})
		put(w, name+".zst", packed.Bytes())
		put(p, name+".zst", packed.Bytes())
	}
	w.Close()
	p.Close()
	manifest, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(manifest, parts.Bytes())
	f.Add([]byte("{}"), whole.Bytes())
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, manifest, archive []byte) {
		if _, err := Open(bytes.NewReader(archive), Key{}); err == nil {
			t.Fatal("taken without a signature")
		}
		m, err := ParseManifest(manifest)
		if err != nil {
			return
		}
		for _, p := range m.Parts {
			if p.Size > 1<<20 {
				return
			}
		}
		from := bufio.NewReader(bytes.NewReader(archive))
		r := Reader{Manifest: m, from: from, tar: tar.NewReader(from)}
		_ = r.Each(func(p Part, r io.Reader) error {
			b, err := io.ReadAll(r)
			if sum := sha256.Sum256(b); err == nil && (int64(len(b)) != p.Size || hex.EncodeToString(sum[:]) != p.SHA256) {
				t.Errorf("%s: other octets than the manifest says", p.Name)
			}
			return err
		})
	})
}
