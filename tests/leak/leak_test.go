package leak

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
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

// The scan sees what is in a page of this process, at its very end too, and
// not what is not there any more.
func TestScan(t *testing.T) {
	// Read anew each time, so that no other copy of it is in this process.
	path := t.TempDir() + "/key"
	if err := os.WriteFile(path, random(t, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(-1, 0, 2<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	at := func() map[int]bool {
		key, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Scan(os.Getpid(), []Secret{{"the key", key}})
		if err != nil {
			t.Fatal(err)
		}
		if m.Octets < 1<<20 {
			t.Errorf("only %d octets were read", m.Octets)
		}
		found := map[int]bool{}
		for _, f := range m.Found {
			if i := int(f.Address) - int(addressOf(page)); i >= 0 && i < len(page) {
				found[i] = true
			}
		}
		return found
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Across the border of two reads, and at the end.
	for _, i := range []int{step - 7, 1 << 20, len(page) - 16} {
		copy(page[i:], key[:16])
		if got := at(); len(got) != 1 || !got[i] {
			t.Errorf("at %d: found at %v", i, got)
		}
		clear(page[i : i+16])
	}
	if got := at(); len(got) != 0 {
		t.Errorf("cleared, and found at %v", got)
	}
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
