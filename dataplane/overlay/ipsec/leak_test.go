package ipsec

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/leak"
)

// written is a log that several write to.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

// No PSK is in our log or charon's at any level, nor in the files of its
// directory, which nobody else reads, nor in its arguments and environment; and
// those that we held are zeroed.
func TestNothingLeaks(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	var psk [2]string
	var secrets []leak.Secret
	for i := range psk {
		psk[i] = rand.Text()[:16] + rand.Text()[:16]
		secrets = append(secrets, leak.Secret{Name: fmt.Sprintf("PSK k%d", i), Octets: []byte(psk[i])})
	}
	p.load(setup{secrets: psk[:1]})
	log := &written{}
	debug := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 100}))
	c, err := NewCharon(CharonOptions{Dir: shortDir(t), Userspace: w.userspace, NS: w.ours, Log: debug})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); Stray(c.o.Dir) })
	cfg := w.tunnel()
	s, err := Open(c, cfg, place(cfg, w.userspace), Options{Log: debug})
	if err != nil {
		t.Fatal(err)
	}
	s.SetPSKs(psks([2]string{"k0", psk[0]}))
	w.secured(s)
	p.load(setup{secrets: psk[:]})
	s.SetPSKs(psks([2]string{"k1", psk[1]}, [2]string{"k0", psk[0]}))
	waitFor(t, 60*time.Second, "the tunnel is under k1", func() bool { return s.View().Members[0].KeyID == "k1" })
	var all [][]byte
	files, err := filepath.Glob(filepath.Join(c.o.Dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range append(files, fmt.Sprintf("/proc/%d/cmdline", c.PID()), fmt.Sprintf("/proc/%d/environ", c.PID())) {
		if i, err := os.Stat(name); err != nil || !i.Mode().IsRegular() {
			continue // the socket
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	if i, err := os.Stat(c.o.Dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", i, err)
	}
	if len(s.psks) != 2 {
		t.Errorf("%d PSKs", len(s.psks))
	}
	s.Close()
	for _, k := range s.psks {
		if k.Secret.Len() != 0 {
			t.Errorf("PSK %s is not zeroed", k.ID)
		}
	}
	c.Close()
	log.mu.Lock()
	defer log.mu.Unlock()
	if !bytes.Contains(log.b.Bytes(), []byte("pre-shared key")) || !bytes.Contains(log.b.Bytes(), []byte("charon: ")) {
		t.Error("charon's log is not in ours")
	}
	for _, b := range append(all, log.b.Bytes()) {
		for _, found := range leak.Search(b, secrets) {
			t.Errorf("%s is in %.60q", found, b)
		}
	}
	if len(leak.Search([]byte("x "+psk[0]), secrets)) != 1 {
		t.Error("what is there is not found")
	}
}
