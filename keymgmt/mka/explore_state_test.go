package mka

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// xnode is a station in the explorer.
type xnode struct {
	cfg    Config
	e      *Entity // nil: killed, or suspended
	down   time.Duration
	asked  bool // it has suspended MKA
	secy   *fakeSecY
	saved  Saved
	keys   []Key
	edited int
	rand   countRand
}

// countRand is randomness that can be cloned: a node's number and a counter.
type countRand struct{ node, n uint64 }

func (r *countRand) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.n >> (8 * (i % 8)))
	}
	b[0] = byte(r.node)
	r.n++
	return len(b), nil
}

type channel struct {
	from, to int
	ckn      byte
}

// xstate is one state. Channels are FIFO.
type xstate struct {
	now                       time.Duration
	nodes                     []*xnode
	wire                      map[channel][][]byte
	loss, dup, restarts, late int
	suspends                  int
}

func (s *xstate) clone() *xstate {
	c := *s
	c.wire = maps.Clone(s.wire)
	c.nodes = make([]*xnode, len(s.nodes))
	for i, n := range s.nodes {
		m := *n
		m.secy = n.secy.clone()
		if n.e != nil {
			m.e = n.e.clone(&m.rand)
		}
		c.nodes[i] = &m
	}
	return &c
}

// gone ends a process. Its SecY goes on.
func (s *xstate) gone(i int) {
	s.nodes[i].e, s.nodes[i].down = nil, s.now
	for c := range s.wire {
		if c.to == i {
			delete(s.wire, c)
		}
	}
}

// cknOf is what tells the CKNs of the tests apart: their second octet.
func cknOf(frame []byte) byte { return frame[14+4+4+28+1] }

func (s *xstate) lost() string {
	for i, a := range s.nodes {
		tx, ok := a.secy.encodesWith()
		for j, b := range s.nodes {
			if i != j && (!ok || !b.secy.receives(a.cfg.SCI, tx)) {
				return fmt.Sprintf("n%d cannot receive what n%d sends: an %d key %s", j, i, tx.AN, tx.Key)
			}
		}
	}
	return ""
}

func (s *xstate) channels() []channel {
	all := make([]channel, 0, len(s.wire))
	for c := range s.wire {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b channel) int { return a.order() - b.order() })
	return all
}

func (c channel) order() int { return c.from<<16 | c.to<<8 | int(c.ckn) }

func (s *xstate) take(c channel) []byte {
	q := s.wire[c]
	if len(q) == 1 {
		delete(s.wire, c)
	} else {
		s.wire[c] = q[1:]
	}
	return q[0]
}
