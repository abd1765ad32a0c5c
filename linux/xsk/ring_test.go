package xsk

import (
	"math"
	"testing"
)

// newRing is a ring of n entries that begins at index at.
func newRing(n, size int, at uint32) (ours, theirs *ring) {
	words := [3]uint32{at, at, 0}
	r := ring{producer: &words[0], consumer: &words[1], flags: &words[2], descriptors: make([]byte, n*size), mask: uint32(n - 1), next: at}
	o := r
	return &r, &o
}

// What one side puts the other takes, in order, also where the indices wrap.
func TestRingWraps(t *testing.T) {
	const n = 8
	for _, at := range []uint32{0, 5, math.MaxUint32 - 3, math.MaxUint32} {
		put, take := newRing(n, descriptorLen, at)
		addresses, back := newRing(n, addressLen, at)
		for i := range 5 * n {
			for j := range i%n + 1 {
				put.putFrame(uint64(i)<<33+uint64(j), 1500+j)
				addresses.putAddress(uint64(i)<<33 + uint64(j))
			}
			if take.ready() != 0 || back.ready() != 0 {
				t.Fatalf("at %d: %d and %d are ready before they were published", at, take.ready(), back.ready())
			}
			put.publish()
			addresses.publish()
			if a, b := take.ready(), back.ready(); a != i%n+1 || b != a {
				t.Fatalf("at %d: %d and %d are ready, want %d", at, a, b, i%n+1)
			}
			for j := range i%n + 1 {
				want := uint64(i)<<33 + uint64(j)
				if a, length := take.frame(); a != want || length != 1500+j {
					t.Fatalf("at %d: frame %d, %d; want %d, %d", at, a, length, want, 1500+j)
				}
				if a := back.address(); a != want {
					t.Fatalf("at %d: address %d, want %d", at, a, want)
				}
			}
			take.consume()
			if *put.consumer != put.next {
				t.Fatalf("at %d: consumed up to %d, put up to %d", at, *put.consumer, put.next)
			}
		}
	}
}

func TestQueueBounds(t *testing.T) {
	for _, c := range [][2]int{{-1, 60}, {0, 0}, {0, -1}, {0, 2049}, {1989, 60}, {2048, 1}, {math.MaxInt, 1}, {1, math.MaxInt}} {
		tx, _ := newRing(2, descriptorLen, 0)
		s := &Socket{chunk: 2048, free: []uint64{0}, tx: *tx}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("octets [%d, +%d) of a buffer of 2048 were queued", c[0], c[1])
				}
			}()
			s.Queue(c[0], c[1])
		}()
		if s.tx.next != 0 || len(s.free) != 1 {
			t.Errorf("[%d, +%d) left its trace", c[0], c[1])
		}
	}
}
