package status

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// How much the callers of the control socket may hold, so that they use up
// neither the daemon's file descriptors nor each other's places. Root has
// places of its own beside those of all others, and so many that only a fault
// takes them all.
const (
	// most connections are open in all, each of one uid, and roots of root.
	most, each, roots = 128, 16, 512
	// Of requests that take their time there are fewer, and of each kind by
	// itself: who follows rotations may reload, and there is room beside both
	// for what is answered at once.
	mostFollowed, eachFollowed, rootsFollowed = 64, 8, 384
	mostReloads, eachReloads, rootsReloads    = 32, 4, 64
	// told is how many connections beyond its own a uid may have for as long
	// as it takes to tell that there are too many.
	told = 4
)

// places are what callers may hold: so many in all but root's, so many of one
// uid, and so many of root.
type places struct {
	all, one, root int
	what           string // for people

	mu    sync.Mutex
	taken int // by all but root
	by    map[int64]int
}

// holder is by as one who holds places. Those of whom it is not known who they
// are count as one.
func (c caller) holder() int64 {
	if c.err != nil {
		return -1
	}
	return int64(c.UID)
}

// take takes a place for uid. full is empty, or why there is none; then there
// is nothing to give back.
func (p *places) take(uid int64) (full string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.one
	if uid == 0 {
		one = p.root
	}
	switch {
	case p.by[uid] >= one:
		return fmt.Sprintf("uid %d has %d %s already, the most that one may have; end some, and try again", uid, p.by[uid], p.what)
	case uid != 0 && p.taken >= p.all:
		return fmt.Sprintf("there are %d %s already, the most that all but root may have; try again later, or as root", p.taken, p.what)
	}
	if p.by == nil {
		p.by = make(map[int64]int)
	}
	p.by[uid]++
	if uid != 0 {
		p.taken++
	}
	return ""
}

// give gives a place back.
func (p *places) give(uid int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if uid != 0 {
		p.taken--
	}
	if p.by[uid]--; p.by[uid] == 0 {
		delete(p.by, uid)
	}
}

// bound gives the connections of l places by who connects. One for whom there
// is none is let in to be told so, as far as there is room for that, and else
// closed.
func (s *server) bound(l net.Listener) net.Listener {
	return &bounded{Listener: l, s: s,
		open:    places{all: most, one: each, root: roots, what: "connections"},
		refused: places{all: told * told, one: told, root: told, what: "connections"}}
}

type bounded struct {
	net.Listener
	s             *server
	open, refused places
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		out := &counted{Conn: c}
		out.by.Cred, out.by.err = b.s.who(c)
		uid, from := out.by.holder(), &b.open
		if out.by.full = from.take(uid); out.by.full != "" {
			if left, ok := b.s.crowds.Take(time.Now()); ok {
				b.s.Log.Warn("the control socket has no place for a connection", "why", out.by.full, "uid", out.by.UID, "gid", out.by.GID, "pid", out.by.PID, "not_logged", left)
			}
			if from = &b.refused; from.take(uid) != "" {
				c.Close()
				continue
			}
		}
		out.done = func() { from.give(uid) }
		return out, nil
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	by   caller // by.full: it is only there to be told
	once sync.Once
	done func()
}

func (c *counted) Close() error {
	defer c.once.Do(c.done)
	return c.Conn.Close()
}
