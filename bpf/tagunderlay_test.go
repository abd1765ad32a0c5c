package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// A MACsec interface that is the underlay of a tunnel, and has tags: what counts
// and tags, and the filter, share its tc, in whatever order they come and are put
// anew, and either goes without the other.
func TestTagsBesideUnderlay(t *testing.T) {
	tagModes(t, func(t *testing.T, m Mode) {
		how := modes{in: m, out: m}
		for _, tagsFirst := range []bool{true, false} {
			w := newWire(t)
			if tagsFirst {
				w.tag(t, w.port, m, classed...)
			}
			w.attach(t, overlay, how)
			if !tagsFirst {
				w.tag(t, w.port, m, classed...)
				w.attach(t, overlay, how)
			}
			port, peer := w.station(t, w.port), w.station(t, w.peer)
			peer.until(t, marked(t, port, 1))
			both := func(when string) {
				t.Helper()
				if s := w.observe(t); !s.Enforces(overlay) {
					t.Fatalf("%s: the filter is %+v", when, s)
				}
				if s := w.tags(t, w.port); !s.Tags(classed) {
					t.Fatalf("%s: the tags are %+v", when, s)
				}
				clear := octets(t, ether("0800", v4(local4, elsewhere4, 6, 0, tcp)), 60)
				port.try(t, octets(t, ether("0800", v4(local4, inside4, 6, 0, tcp)), 60))
				port.send(t, clear)
				for _, f := range peer.until(t, clear) {
					if binary.BigEndian.Uint16(f[12:]) == 0x0800 && bytes.Contains(f, inside4.AsSlice()) {
						t.Errorf("%s: passed in clear: %x", when, f)
					}
				}
			}
			both("both are new")
			w.tag(t, w.port, m, classed[:1]...)
			w.tag(t, w.port, m, classed...)
			w.attach(t, overlay, how) // as the next look does where the tags came before it
			both("other tags")
			w.attach(t, plain, how)
			w.attach(t, overlay, how)
			both("another filter")
			w.do(t, func() error { return DetachTags(w.index()) })
			if s := w.observe(t); !s.Enforces(overlay) {
				t.Errorf("the filter went with the tags: %+v", s)
			}
			w.tag(t, w.port, m, classed...)
			w.do(t, func() error { return Detach(w.index()) })
			if s := w.tags(t, w.port); !s.Tags(classed) {
				t.Errorf("the tags went with the filter: %+v", s)
			}
		}
	})
}
