package qemu

import (
	"context"
	"net"
	"testing"
	"time"
)

// An end that takes nothing holds up nobody, and one that takes its time loses nothing.
func TestCable(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	a, b, err := NewCable(ctx, t.TempDir(), "cable")
	if err != nil {
		t.Fatal(err)
	}
	one, err := a.Plug()
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	send := func(n int, more ...byte) {
		t.Helper()
		one.SetWriteDeadline(time.Now().Add(10 * time.Second))
		for i := range n {
			if _, err := one.Write(append([]byte{byte(i >> 8), byte(i)}, more...)); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
	}
	send(held/3, 1) // there is nobody yet
	other, err := b.Plug()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	const few = held / 2 // the kernel holds 10
	send(few)
	other.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 16)
	last := -1
	for last != few-1 {
		n, err := other.Read(got)
		if err != nil {
			t.Fatalf("after frame %d: %v", last, err)
		}
		if n == 3 && last < 0 {
			continue // of those before
		}
		now := int(got[0])<<8 | int(got[1])
		if now != last+1 {
			t.Fatalf("frame %d comes after %d", now, last)
		}
		last = now
	}
	if _, err := other.Write([]byte("back")); err != nil {
		t.Fatal(err)
	}
	one.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := one.Read(got); err != nil || string(got[:n]) != "back" {
		t.Fatalf("%q, %v", got[:n], err)
	}
	send(4 * held) // it takes none of them
	end()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if c, err := net.DialUnix("unixgram", nil, one.cable); err != nil {
			return
		} else if c.Close(); time.Now().After(deadline) {
			t.Fatal("the cable is there yet")
		}
	}
}
