package eapol_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/eapol"
)

// All that is there comes in one call, in order and each of its own size; what
// does not fit comes with the next.
func TestReadBatch(t *testing.T) {
	w := newWire(t)
	before := w.listen(t, options)
	c := w.listen(t, options) // each frame is the later socket's first
	const n = 20
	frames := make([][]byte, 8)
	for i := range frames {
		frames[i] = make([]byte, eapol.MaxFrame)
	}
	sent := make([][]byte, n)
	for i := range sent {
		sent[i] = append(frame(eapol.PAEGroup, mac(w.peer), eapol.EtherType, 5, byte(i)), make([]byte, i)...)
		w.send(t, sent[i])
	}
	for range n {
		next(t, before)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for calls := 0; len(got) < n; calls++ {
		for i := range frames {
			frames[i] = frames[i][:eapol.MaxFrame]
		}
		many, err := c.ReadBatch(frames)
		if err != nil || many == 0 {
			t.Fatalf("after %d: %d, %v", len(got), many, err)
		}
		if want := min(len(frames), n-len(got)); many != want {
			t.Errorf("call %d has %d frames, want %d", calls, many, want)
		}
		for _, f := range frames[:many] {
			got = append(got, bytes.Clone(f))
		}
	}
	for i := range sent {
		if !bytes.Equal(got[i], sent[i]) {
			t.Errorf("frame %d is %x, want %x", i, got[i], sent[i])
		}
	}
	if _, err := c.ReadBatch([][]byte{make([]byte, 100)}); err == nil {
		t.Error("a buffer that is too small is taken")
	}
	for i := range frames {
		frames[i] = frames[i][:eapol.MaxFrame]
	}
	if n := testing.AllocsPerRun(100, func() {
		w.send(t, sent[0])
		if many, err := c.ReadBatch(frames[:1]); err != nil || many != 1 {
			t.Fatal(many, err)
		}
		frames[0] = frames[0][:eapol.MaxFrame]
	}); n != 0 {
		t.Errorf("a read allocates %v times", n)
	}
	done := make(chan error, 1)
	go func() { _, err := c.ReadBatch(frames); done <- err }()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
