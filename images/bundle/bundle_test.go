package bundle_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/bundle/bundletest"
	"github.com/linkseal/linkseal/images/part"
)

const version = "20261126.170000"

func TestRoundTrip(t *testing.T) {
	signer, key := bundletest.Keys(t)
	image := bundletest.New(version, 3<<20)
	file := bundletest.Update(t, image, version, "amd64", signer)
	if again := bundletest.Update(t, image, version, "amd64", signer); !bytes.Equal(file, again) {
		t.Error("the same source gave other octets")
	}
	r, err := bundle.Open(iotest.HalfReader(bytes.NewReader(file)), key)
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Manifest.Part(part.Root); r.Manifest.Version != version || p.UUID != bundletest.Boot(version).Root || p.Size != 3<<20 {
		t.Errorf("manifest %+v", r.Manifest)
	}
	seen := 0
	if err := r.Each(func(p bundle.Part, r io.Reader) error {
		seen++
		got, err := io.ReadAll(r)
		if !bytes.Equal(got, image[p.Name]) {
			t.Errorf("%s: other octets came out", p.Name)
		}
		return err
	}); err != nil || seen != 3 {
		t.Errorf("%d parts, %v", seen, err)
	}
}

// No octet of the file can be another, or be missing, but in what nothing reads.
func TestDamaged(t *testing.T) {
	signer, key := bundletest.Keys(t)
	file := bundletest.Update(t, bundletest.New(version, 4096), version, "amd64", signer)
	check := func(b []byte) error {
		r, err := bundle.Open(bytes.NewReader(b), key)
		if err != nil {
			return err
		}
		return r.Check()
	}
	if err := check(file); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(file); n += 1 + n/97 {
		if check(file[:n]) == nil && !harmless(file, n) {
			t.Errorf("cut at %d of %d: taken", n, len(file))
		}
	}
	refused, tried := 0, 0
	for at := 0; at < len(file); at++ {
		if at >= 2560 {
			at += 16 // behind the signature: a sample
		}
		tried++
		at := min(at, len(file)-1)
		file[at] ^= 0x41
		if err := check(file); err != nil {
			refused++
		} else if !harmless(file, at) {
			t.Errorf("octet %d, %q: taken", at, file[max(0, at-20):at+20])
		}
		file[at] ^= 0x41
	}
	if refused < tried/2 {
		t.Errorf("%d of %d refused", refused, tried)
	}
	if check(append(bytes.Clone(file), 0)) == nil {
		t.Error("more after the end: taken")
	}
}

// harmless reports whether the octet at is in a comment that nobody signs, has bits
// of base64 that mean nothing, is in the padding of an entry, or behind a header's
// checksum.
func harmless(file []byte, at int) bool {
	r := bytes.NewReader(file)
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		begin := len(file) - r.Len()
		switch {
		case err != nil:
			return at >= len(file)-1024
		case at < begin:
			return at == begin-512+155
		case at < begin+int(h.Size):
			first, _, _ := bytes.Cut(file[begin:], []byte("\n"))
			return strings.HasSuffix(h.Name, ".minisig") && (at < begin+len(first) || file[at+1] == '=')
		case at < begin+(int(h.Size)+511)&^511:
			return true
		}
	}
}

type entry struct {
	tar.Header
	text []byte
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.Typeflag == 0 || e.Typeflag == tar.TypeReg {
			e.Size = int64(len(e.text))
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entries are those of an update file, to be spoilt.
func entries(t *testing.T, file []byte) (all []entry) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(file)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		text, err2 := io.ReadAll(r)
		if err = errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{*h, text})
	}
}

func TestHostileArchive(t *testing.T) {
	signer, key := bundletest.Keys(t)
	_, other := bundletest.Keys(t)
	file := bundletest.Update(t, bundletest.New(version, 4096), version, "amd64", signer)
	if _, err := bundle.Open(bytes.NewReader(file), other); err == nil || !strings.Contains(err.Error(), "made by key") {
		t.Errorf("another's signature: %v", err)
	}
	endless := func(n int) []byte { // frames with nothing in them
		var one bytes.Buffer
		w, _ := zstd.NewWriter(&one, zstd.WithZeroFrames(true))
		w.Close()
		return bytes.Repeat(one.Bytes(), n)
	}
	bomb := func() []byte {
		var b bytes.Buffer
		w, _ := zstd.NewWriter(&b)
		for range 16 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
		w.Close()
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		spoil func(all []entry) []entry
		want  string
	}{
		"a link": {func(a []entry) []entry {
			a[2] = entry{Header: tar.Header{Name: "root.erofs.zst", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}
			return a
		}, "where the plain file root.erofs.zst should be"},
		"a path that climbs": {func(a []entry) []entry { a[2].Name = "../root.erofs.zst"; return a }, "where the plain file root.erofs.zst should be"},
		"a device": {func(a []entry) []entry {
			a[3] = entry{Header: tar.Header{Name: "root.verity.zst", Typeflag: tar.TypeBlock}}
			return a
		}, "where the plain file root.verity.zst should be"},
		"another order":       {func(a []entry) []entry { a[2], a[3] = a[3], a[2]; return a }, "where the plain file root.erofs.zst should be"},
		"the signature first": {func(a []entry) []entry { a[0], a[1] = a[1], a[0]; return a }, "where the plain file manifest.json should be"},
		"PAX records": {func(a []entry) []entry {
			a[2].Format = tar.FormatPAX
			a[2].PAXRecords = map[string]string{"linkseal.x": "y"}
			return a
		}, "where the plain file root.erofs.zst should be"},
		"a part too many":      {func(a []entry) []entry { return append(a, a[4]) }, "after its last part"},
		"a part missing":       {func(a []entry) []entry { return a[:4] }, "the file ends where linkseal.efi.zst should be"},
		"a manifest of 1 MiB":  {func(a []entry) []entry { a[0].text = make([]byte, 1<<20); return a }, "manifest.json: 1048576 octets; accepted"},
		"a signature of 1 MiB": {func(a []entry) []entry { a[1].text = make([]byte, 1<<20); return a }, "manifest.json.minisig: 1048576 octets; accepted"},
		"no signature":         {func(a []entry) []entry { a[1].text = nil; return a }, "signature: "},
		"another manifest": {func(a []entry) []entry {
			a[0].text = bytes.Replace(a[0].text, []byte("amd64"), []byte("arm64"), 1)
			return a
		}, "signature: it does not fit the manifest"},
		"16 MiB of a part":       {func(a []entry) []entry { a[2].text = bomb(); return a }, "longer than the 4096 octets"},
		"frames without end":     {func(a []entry) []entry { a[2].text = endless(1 << 20); return a }, "accepted: up to"},
		"a part that is cut":     {func(a []entry) []entry { a[2].text = a[2].text[:len(a[2].text)/2]; return a }, "root.erofs: the file "},
		"not compressed":         {func(a []entry) []entry { a[2].text = make([]byte, 4096); return a }, "root.erofs: the file "},
		"another part's content": {func(a []entry) []entry { a[2].text = a[3].text; return a }, "root.erofs: it ends"},
		"a window of 512 MiB": {func(a []entry) []entry {
			a[2].text = append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x98}, make([]byte, 64)...)
			return a
		}, "window"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := archive(t, c.spoil(entries(t, file))...)
			r, err := bundle.Open(bytes.NewReader(bad), key)
			if err == nil {
				err = r.Check()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// What does not read its part to the end has not checked it.
func TestEachReadsAll(t *testing.T) {
	signer, key := bundletest.Keys(t)
	file := bundletest.Update(t, bundletest.New(version, 4096), version, "amd64", signer)
	r, err := bundle.Open(bytes.NewReader(file), key)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Each(func(p bundle.Part, r io.Reader) error {
		_, err := io.ReadFull(r, make([]byte, p.Size))
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "root.erofs was not read to its end") {
		t.Error(err)
	}
}

// A large image is read in little memory.
func TestMemory(t *testing.T) {
	signer, key := bundletest.Keys(t)
	file := bundletest.Update(t, bundletest.New(version, 32<<20), version, "amd64", signer)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, err := bundle.Open(bytes.NewReader(file), key)
	if err == nil {
		err = r.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 20<<20 {
		t.Errorf("%d MiB allocated for %d MiB", used>>20, len(file)>>20)
	}
}

func TestManifest(t *testing.T) {
	good := bundle.Manifest{Format: 1, Image: "linkseal", Version: version, Arch: "amd64"}
	for _, name := range []string{part.Root, part.Verity, part.UKI} {
		good.Parts = append(good.Parts, bundle.Part{Name: name, Size: 4096, SHA256: strings.Repeat("0a", 32), UUID: bundletest.Boot(version).Root})
	}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ParseManifest(text); err != nil {
		t.Fatal(err)
	}
	for old, c := range map[string]struct{ new, want string }{
		`"format":1`:           {`"format":2,"news":true`, "format 2; this version reads format 1"},
		`"image":"linkseal"`:   {`"image":"other"`, `image "other"`},
		`"arch":"amd64"`:       {`"arch":"amd64","more":1`, "unknown field"},
		`"` + version + `"`:    {`"../../x"`, "version"},
		`"size":4096`:          {`"size":-1`, "size -1"},
		`"sha256":"0a`:         {`"sha256":"zz`, "sha256"},
		`"name":"root.erofs"`:  {`"name":"/etc/passwd"`, `part 1 is "/etc/passwd"`},
		`{"name":"root.erofs"`: {`{"name":"root.erofs","size":1},{"name":"x"`, "4 parts"},
		`"uuid":"`:             {`"uuid":"X`, "uuid"},
		`]}`:                   {`]}{}`, "after top-level value"},
	} {
		bad := strings.Replace(string(text), old, c.new, 1)
		if bad == string(text) {
			t.Fatalf("%s is not in %s", old, text)
		}
		if _, err := bundle.ParseManifest([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.new, err, c.want)
		}
	}
}

// The maker refuses parts that do not belong together, and a key that others can read.
func TestMakerRefuses(t *testing.T) {
	signer, _ := bundletest.Keys(t)
	dir := t.TempDir()
	image := bundletest.New(version, 4096)
	image[part.UKI] = bundletest.New("1.2", 4096)[part.UKI]
	for name, text := range image {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := bundle.Write(io.Discard, bundle.Source{Version: version, Arch: "amd64", Dir: dir, Signer: signer}, dir)
	if err == nil || !strings.Contains(err.Error(), "linkseal.efi boots root") {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".pack*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("untrusted comment: x\nc2VjcmV0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ReadSigner(key); err == nil || !strings.Contains(err.Error(), "mode 0644") {
		t.Error(err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ReadSigner(key); err == nil || strings.Contains(err.Error(), "c2Vj") {
		t.Error(err)
	}
}
