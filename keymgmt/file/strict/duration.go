package strict

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

var errDuration = errors.New("not a duration")

// ParseDuration reads Go's durations with d for 24 hours in front: 30d,
// 1d12h, 1.5h. It is never negative.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	if before, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		days = time.Duration(n) * day
		if s = rest; s == "" {
			return days, nil
		}
	}
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return 0, errDuration
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || days+d < days {
		return 0, errDuration
	}
	return days + d, nil
}

// FormatDuration is the inverse of ParseDuration, without needless zeros.
func FormatDuration(d time.Duration) string {
	if d != 0 && d%day == 0 && d/day <= 0xffff {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
