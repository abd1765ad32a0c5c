package reconcile

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/linkseal/linkseal/bpf"
)

// Speakers tells the filter of a port who may speak EAPOL to it without a
// limit, through changes of the filter. A port without a filter has no limit.
// Its methods may be called from any goroutine of the daemon's network
// namespace.
type Speakers struct {
	ifindex int
	log     *slog.Logger

	mu      sync.Mutex
	limit   *bpf.Limit // nil: none
	members []bpf.Member
	known   bool   // Set was called
	told    string // the error that was logged last
}

// NewSpeakers looks for the filter on the device with that index.
func NewSpeakers(ifindex int, log *slog.Logger) *Speakers {
	s := &Speakers{ifindex: ifindex, log: log}
	s.FilterSet()
	return s
}

// Set names who is known, in place of those before.
func (s *Speakers) Set(members []bpf.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members, s.known = members, true
	s.write()
}

// FilterSet tells that the filter on the device was set, or set anew.
func (s *Speakers) FilterSet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	l, err := bpf.OpenLimit(s.ifindex)
	if err != nil && !errors.Is(err, bpf.ErrNotAttached) {
		s.tell(err)
		return
	}
	s.limit = l
	s.write()
}

func (s *Speakers) write() {
	if s.limit != nil && s.known {
		s.tell(s.limit.Set(s.members))
	}
}

// tell logs an error when it is a new one.
func (s *Speakers) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != s.told && err != nil {
		s.log.Warn("EAPOL from strangers is not limited in the filter", "error", err)
	}
	s.told = text
}

func (s *Speakers) release() {
	if s.limit != nil {
		if err := s.limit.Close(); err != nil {
			s.log.Warn("the filter's list of who may speak EAPOL stays open", "error", err)
		}
		s.limit = nil
	}
}

// Close leaves the filter as it is: who is known stays so.
func (s *Speakers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	s.known = false
}
