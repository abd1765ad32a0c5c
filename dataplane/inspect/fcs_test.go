package inspect

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// TestFCSBySection has sections with and without FCS in one file: interfaces
// count anew in each, and a section of another version has no part in it.
func TestFCSBySection(t *testing.T) {
	ethernet := []layers.LinkType{layers.LinkTypeEthernet}
	frame := frames(t)[0]
	without := pcapngOf(t, ethernet, frame)
	with := withFCSLen(pcapngOf(t, ethernet, append(bytes.Clone(frame), 1, 2, 3, 4)), 4)
	strange := withFCSLen(without, 9)
	strange[12] = 7
	c, err := NewCapture(bytes.NewReader(bytes.Join([][]byte{without, with, strange, without, with}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			if n != 5 {
				t.Errorf("%d packets, want 4", n-1)
			}
			return
		}
		if err != nil || p.Length != len(frame) || !bytes.Equal(p.Data, frame) {
			t.Fatalf("packet %d: %v, %d octets, want %d", n, err, p.Length, len(frame))
		}
	}
}
