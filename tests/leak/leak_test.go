package leak

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSearch(t *testing.T) {
	for _, n := range []int{16, 32} {
		b := random(t, n)
		s := []Secret{{"the key", b}, {"another", random(t, n)}}
		for name, text := range map[string]string{
			"raw": "x" + string(b), "hex": hex.EncodeToString(b), "HEX": "0x" + strings.ToUpper(hex.EncodeToString(b)),
			"base64": base64.StdEncoding.EncodeToString(b), "base64 behind 1": base64.StdEncoding.EncodeToString(append([]byte("k"), b...)),
			"base64 behind 5": base64.RawURLEncoding.EncodeToString(append(append([]byte("key: "), b...), '\n')),
			"%v":              fmt.Sprint(b), "% x": fmt.Sprintf("% x", b),
		} {
			got := Search([]byte("a log\n"+text+"\n"), s)
			if len(got) != 1 || !strings.HasPrefix(got[0], "the key") {
				t.Errorf("%d octets, %s: found %q", n, name, got)
			}
		}
		if got := Search([]byte("nothing "+hex.EncodeToString(b[1:])), s); len(got) != 0 {
			t.Errorf("found %q in nothing", got)
		}
	}
}

func TestKeys(t *testing.T) {
	k, err := Keys("00aa", hex.EncodeToString(random(t, 32)))
	if err != nil || len(k) != 3 || bytes.Equal(k[0].Octets, k[1].Octets) || len(k[2].Octets) != 32 {
		t.Errorf("%d keys, %v", len(k), err)
	}
	if _, err := Keys("00aa", "zz"); err == nil || strings.Contains(err.Error(), "zz") {
		t.Errorf("%v", err)
	}
}

// The scan sees what a process has in its buffer, and not what it had.
func TestScan(t *testing.T) {
	key := random(t, 32)
	cat := exec.Command("cat")
	in, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cat.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer cat.Wait()
	defer in.Close()
	for _, c := range []struct {
		text []byte
		want int
	}{{key, 2}, {make([]byte, 32), 0}, {[]byte(hex.EncodeToString(key)), 2}} {
		if _, err := in.Write(c.text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len(c.text))); err != nil {
			t.Fatal(err)
		}
		m, err := Scan(cat.Process.Pid, []Secret{{"the key", key}, {"another", random(t, 16)}})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Found) != c.want || m.Octets < 100_000 {
			t.Errorf("cat has had %.8x: of %d octets found %v", c.text, m.Octets, m.Found)
		}
		for _, f := range m.Found {
			if f.Secret != "the key" || !strings.Contains(f.Mapping, "rw") {
				t.Errorf("found %v", f)
			}
		}
	}
}

// Nothing hides across the border of two reads, at the end of a mapping, or
// behind pages that were never touched.
func TestScanBorders(t *testing.T) {
	page := os.Getpagesize()
	const octets = 4 * step
	memory := make([]byte, octets)
	key := random(t, 16)
	places := []int{0, step - 7, 2*step - 1, octets - 16}
	for _, at := range places {
		copy(memory[at:], key)
	}
	touched := make([]byte, 8*octets/page)
	for at := 0; at < octets; at += page {
		if bytes.ContainsFunc(memory[at:at+page], func(r rune) bool { return r != 0 }) {
			touched[8*at/page+7] = 0x80
		}
	}
	dir := t.TempDir()
	file := func(name string, text []byte) *os.File {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	p := &process{file("mem", memory), file("pagemap", touched)}
	defer p.Close()
	var m Memory
	if err := m.scan(p, mapping{to: octets, mode: "rw-p"}, newSearcher(Secret{"the key", key}.held())); err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, f := range m.Found {
		found = append(found, int(f.Address))
	}
	if !slices.Equal(found, places) {
		t.Errorf("found at %v, put at %v", found, places)
	}
}
