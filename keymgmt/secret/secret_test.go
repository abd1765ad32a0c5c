package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestNeverPrints(t *testing.T) {
	raw := []byte("0123456789abcdef")
	k := New(raw)
	if !bytes.Equal(raw, make([]byte, 16)) {
		t.Error("New left the caller's copy")
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	js, err := json.Marshal(map[string]any{"key": k, "in": struct{ K *Key }{k}})
	if err != nil {
		t.Fatal(err)
	}
	out := log.String() + string(js)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		out += fmt.Sprintf(verb, k) + fmt.Sprintf(verb, *k) + fmt.Sprintf(verb, struct{ K *Key }{k})
	}
	for _, leak := range []string{"0123456789abcdef", "30313233", "48 49 50", "MDEyMzQ"} {
		if strings.Contains(out, leak) {
			t.Errorf("the key is printed as %q in %s", leak, out)
		}
	}
	if !strings.Contains(out, "16 octets") {
		t.Errorf("no length in %s", out)
	}
}

func TestZeroAndEqual(t *testing.T) {
	a, b := New([]byte{1, 2, 3}), New([]byte{1, 2, 3})
	if !a.Equal(b) || a.Fingerprint() != b.Fingerprint() {
		t.Error("equal keys differ")
	}
	c, held := b.Clone(), b.Bytes()
	b.Zero()
	b.Zero()
	if !bytes.Equal(held, []byte{0, 0, 0}) || b.Len() != 0 || a.Equal(b) || !a.Equal(c) {
		t.Error("Zero did not zero, or zeroed a clone")
	}
	copied := *a
	a.Zero()
	if copied.Len() != 0 {
		t.Error("a copy of the Key has the octets yet")
	}
	if _, err := Random(bytes.NewReader([]byte{1}), 2); err == nil {
		t.Error("a short read of randomness gave a key")
	}
}

// A Key that is forgotten is zeroed when it is collected.
func TestForgotten(t *testing.T) {
	octets := func() []byte { return New([]byte("forgotten 16 oct")).Bytes() }()
	for deadline := time.Now().Add(10 * time.Second); !bytes.Equal(octets, make([]byte, 16)); {
		if time.Now().After(deadline) {
			t.Fatal("the octets of a Key that nobody has are there")
		}
		runtime.GC()
	}
}
