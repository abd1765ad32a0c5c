package leak

import (
	"encoding/binary"
	"slices"
)

// searcher finds forms in one pass.
type searcher struct {
	forms  []form
	starts []uint64 // a bit for each first two octets
	by     map[uint32][]int
	most   int // octets of the longest form
}

func newSearcher(forms []form) *searcher {
	s := &searcher{forms: forms, starts: make([]uint64, 1<<16/64), by: map[uint32][]int{}}
	for i, f := range forms {
		head := binary.LittleEndian.Uint32([]byte(f.octets[:4]))
		s.starts[head&0xffff/64] |= 1 << (head & 63)
		s.by[head] = append(s.by[head], i)
		s.most = max(s.most, len(f.octets))
	}
	return s
}

// find calls found with each form in b and where it begins. It looks at every
// octet of a process's memory, which the race detector would make take longer
// than the keys in it last.
//
//go:norace
func (s *searcher) find(b []byte, found func(at, form int)) {
	for at := 0; at+4 <= len(b); at++ {
		if two := uint32(b[at]) | uint32(b[at+1])<<8; s.starts[two/64]&(1<<(two&63)) == 0 {
			continue
		}
		for _, i := range s.by[binary.LittleEndian.Uint32(b[at:])] {
			if f := s.forms[i].octets; len(b)-at >= len(f) && string(b[at:at+len(f)]) == f {
				found(at, i)
			}
		}
	}
}

// Search names the secrets that text holds in a form that prints, each once.
func Search(text []byte, secrets []Secret) []string {
	var forms []form
	for _, s := range secrets {
		forms = append(forms, s.printed()...)
	}
	s := newSearcher(forms)
	var names []string
	s.find(text, func(_, i int) {
		if !slices.Contains(names, forms[i].name) {
			names = append(names, forms[i].name)
		}
	})
	return names
}
