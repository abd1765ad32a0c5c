package strict

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

var errDuration = errors.New("not a duration")

// ParseDuration reads Go's durations with d for 24 hours besides: 30d, 1d12h,
// 1.5d. It is never negative.
func ParseDuration(s string) (sum time.Duration, err error) {
	if s == "0" {
		return 0, nil
	}
	for first := true; first || s != ""; first = false {
		n := strings.IndexFunc(s, func(r rune) bool { return !inNumber(r) })
		if n < 1 {
			return 0, errDuration
		}
		end := n + strings.IndexFunc(s[n:]+"0", inNumber)
		term, times := s[:end], time.Duration(1)
		if s[n:end] == "d" {
			term, times = s[:n]+"h", 24
		}
		d, err := time.ParseDuration(term)
		if err != nil || d > (math.MaxInt64-sum)/times {
			return 0, errDuration
		}
		sum += d * times
		s = s[end:]
	}
	return sum, nil
}

func inNumber(r rune) bool { return r >= '0' && r <= '9' || r == '.' }

// FormatDuration is the inverse of ParseDuration, without needless zeros.
func FormatDuration(d time.Duration) string {
	if d != 0 && d%day == 0 {
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
