package file

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// minRun is the shortest run of hex digits that is masked: a place holder
// needs that much room, and no date or key name has as long a run.
const minRun = 8

// mark begins a place holder: a private-use character, one column wide like
// the digit that it stands for, and refused in a file.
const mark = '\uE000'

// masked is a file's text with its long runs of hex digits replaced by place
// holders of the same width, so that neither lines nor columns move.
type masked struct {
	text string
	runs map[string][]byte // place holder -> the run, in the file's buffer
}

// mask replaces the runs of data. It is false if data is not text that can be
// masked.
func mask(data []byte) (masked, bool) {
	m := masked{runs: map[string][]byte{}}
	if !utf8.Valid(data) || strings.ContainsRune(string(keepNonASCII(data)), mark) {
		return m, false
	}
	var out strings.Builder
	for i := 0; i < len(data); {
		n := 0
		for i+n < len(data) && isHex(data[i+n]) {
			n++
		}
		switch {
		case n >= minRun:
			holder := fmt.Sprintf("%c%0*d", mark, minRun-1, len(m.runs))
			holder += strings.Repeat("x", n-minRun)
			m.runs[holder] = data[i : i+n]
			out.WriteString(holder)
		case n > 0:
			out.Write(data[i : i+n])
		default:
			n = 1
			out.WriteByte(data[i])
		}
		i += n
	}
	m.text = out.String()
	return m, true
}

// keepNonASCII drops ASCII, so that looking for a character makes no string of
// a key.
func keepNonASCII(data []byte) []byte {
	var out []byte
	for _, b := range data {
		if b >= utf8.RuneSelf {
			out = append(out, b)
		}
	}
	return out
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// digits are the octets of a scalar as they are in the file: a run's, or a
// copy of the text of a scalar without runs. False if the scalar holds a run
// and something else.
func (m masked) digits(scalar string) ([]byte, bool) {
	if run, ok := m.runs[scalar]; ok {
		return run, true
	}
	return []byte(scalar), !strings.ContainsRune(scalar, mark)
}

// unmask puts the runs back into scalar.
func (m masked) unmask(scalar string) string {
	if !strings.ContainsRune(scalar, mark) {
		return scalar
	}
	for holder, run := range m.runs {
		scalar = strings.ReplaceAll(scalar, holder, string(run))
	}
	return scalar
}
