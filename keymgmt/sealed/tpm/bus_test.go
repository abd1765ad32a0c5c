package tpm

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/tests/swtpm"
)

// bus is a socket before another's that notes all that goes over it.
type bus struct {
	path string
	mu   sync.Mutex
	seen bytes.Buffer
}

func (b *bus) pass(t *testing.T, from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		b.mu.Lock()
		b.seen.Write(buf[:n])
		b.mu.Unlock()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			to.Close()
			return
		}
	}
}

func (b *bus) octets() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.seen.Bytes())
}

func listen(t *testing.T, path string) *bus {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	b := &bus{path: filepath.Join(dir, "tpm")}
	l, err := net.Listen("unix", b.path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait(); os.RemoveAll(dir) })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// One at a time, as its user does.
			d, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				c.Close()
				return
			}
			back := make(chan struct{})
			go func() { b.pass(t, d, c); close(back) }()
			b.pass(t, c, d)
			<-back
		}
	})
	return b
}

// Who listens on the bus sees objects and nonces, not the key.
func TestBus(t *testing.T) {
	for _, pcrs := range [][]int{nil, {7}} {
		b := listen(t, swtpm.For(t).Path)
		tpm := New(b.path, pcrs)
		blob := seal(t, tpm)
		unseals(t, tpm, blob)
		seen := b.octets()
		parsed, err := parseBlob(blob)
		if err != nil {
			t.Fatal(err)
		}
		// The answer to TPM2_Create, and TPM2_Unseal: the bus was seen.
		if !bytes.Contains(seen, parsed.private) || !bytes.Contains(seen, []byte{0, 0, 0x01, 0x5e}) {
			t.Fatalf("what was seen is not the bus: %d octets", len(seen))
		}
		for i := 0; i+8 <= len(octets); i++ {
			if bytes.Contains(seen, []byte(octets[i:i+8])) {
				t.Fatalf("octets %d to %d of the key were seen", i, i+8)
			}
		}
	}
}
