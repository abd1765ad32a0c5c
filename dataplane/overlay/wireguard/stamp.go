package wireguard

import "time"

// stamp puts the wall clock's time of a handshake on the monotonic clock, which
// is not set.
type stamp struct {
	wall, mono time.Time
	looked     time.Time
}

// see takes what is told at now; the zero time is a handshake that there was none
// of.
func (s *stamp) see(wall, now time.Time) {
	if !wall.IsZero() && !wall.Equal(s.wall) {
		age := max(0, now.Round(0).Sub(wall.Round(0)))
		if !s.looked.IsZero() {
			// It is newer than the last look, whatever the clock says.
			age = min(age, now.Sub(s.looked))
		}
		s.mono = now.Add(-age)
	}
	s.wall, s.looked = wall, now
	if wall.IsZero() {
		s.mono = time.Time{}
	}
}
