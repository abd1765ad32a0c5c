package gso

import (
	"slices"
	"testing"
)

func BenchmarkSum(b *testing.B) {
	src, dst := octets(1448, 1), make([]byte, 1448)
	b.Run("sum", func(b *testing.B) {
		b.SetBytes(1448)
		for b.Loop() {
			sum(src)
		}
	})
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(1448)
		for b.Loop() {
			copySum(dst, src)
		}
	})
}

// host is a super-packet of 44 full segments, and one of datagrams.
func host(udp bool) (Header, []byte) {
	s, _ := pair(udp, true, nil)
	s.payload = octets(44*1428, 1)
	return s.super(1428)
}

func splitAll(tb testing.TB, s *Splitter, h Header, frame, dst []byte) (frames int) {
	if err := s.Begin(h, frame); err != nil {
		tb.Fatal(err)
	}
	for {
		n, err := s.Next(dst, 24)
		if err != nil {
			tb.Fatal(err)
		}
		if n == 0 {
			return frames
		}
		frames++
	}
}

func BenchmarkSplit(b *testing.B) {
	for name, udp := range map[string]bool{"tcp": false, "udp": true} {
		b.Run(name, func(b *testing.B) {
			h, frame := host(udp)
			dst := make([]byte, 2000)
			var s Splitter
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			frames := 0
			for b.Loop() {
				frames += splitAll(b, &s, h, frame, dst)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
		})
	}
}

// batch is 256 frames of so many flows, in turn, and memory to restore their
// headers from.
func batch(udp bool, flows int) (frames, saved [][]byte) {
	var cuts [][][]byte
	for i := range flows {
		s, _ := pair(udp, true, nil)
		s.host, s.payload = uint16(i), octets(256/flows*1428, i)
		cuts = append(cuts, s.cut(1428))
	}
	for j := range 256 / flows {
		for i := range cuts {
			frames = append(frames, cuts[i][j])
			saved = append(saved, slices.Clone(cuts[i][j][:100]))
		}
	}
	return frames, saved
}

func joinAll(c *Coalescer, frames, saved [][]byte) (packets int) {
	for i, f := range frames {
		copy(f, saved[i])
		c.Add(f)
	}
	packets = len(c.Packets())
	c.Reset()
	return packets
}

func BenchmarkCoalesce(b *testing.B) {
	for _, c := range []struct {
		name  string
		udp   bool
		flows int
	}{{"tcp/flows=1", false, 1}, {"tcp/flows=8", false, 8}, {"tcp/flows=256", false, 256}, {"udp/flows=1", true, 1}} {
		b.Run(c.name, func(b *testing.B) {
			co := NewCoalescer(CoalescerOptions{UDP: true})
			frames, saved := batch(c.udp, c.flows)
			b.ReportAllocs()
			b.SetBytes(int64(len(frames) * len(frames[0])))
			for b.Loop() {
				joinAll(co, frames, saved)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/frame")
		})
	}
}

func TestNoAllocation(t *testing.T) {
	for _, udp := range []bool{false, true} {
		h, frame := host(udp)
		dst := make([]byte, 2000)
		var s Splitter
		if n := testing.AllocsPerRun(10, func() { splitAll(t, &s, h, frame, dst) }); n != 0 {
			t.Errorf("udp %v: splitting a packet allocates %v times", udp, n)
		}
		for _, flows := range []int{1, 4, 256} {
			c := NewCoalescer(CoalescerOptions{UDP: true})
			frames, saved := batch(udp, flows)
			if n := testing.AllocsPerRun(10, func() { joinAll(c, frames, saved) }); n != 0 {
				t.Errorf("udp %v: joining %d flows allocates %v times", udp, flows, n)
			}
		}
	}
}
