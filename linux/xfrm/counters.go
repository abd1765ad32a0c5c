package xfrm

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
)

// maxStat bounds the kernel's table: it has some thirty lines of some thirty
// octets.
const maxStat = 64 << 10

// Counters are the packets that IPsec has dropped in a network namespace, of all
// its SAs and policies together: those that came in and those that were to leave.
type Counters struct {
	RxErrors, TxErrors uint64
}

// Read reads those of the calling thread's network namespace. A kernel without
// IPsec, or without its statistics, has none: the error is fs.ErrNotExist.
func Read() (c Counters, err error) {
	f, err := os.Open("/proc/thread-self/net/xfrm_stat")
	if err != nil {
		return c, fmt.Errorf("IPsec's counters: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStat))
	if err != nil {
		return c, fmt.Errorf("IPsec's counters: %w", err)
	}
	return parse(text)
}

// parse reads lines as "XfrmInNoStates  7" (Documentation/networking/xfrm_proc.rst),
// each the packets dropped for one reason.
func parse(text []byte) (c Counters, err error) {
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 2 {
			return c, fmt.Errorf("IPsec's counters: the line %.80q is not a name and a number", line)
		}
		n, err := strconv.ParseUint(string(f[1]), 10, 64)
		if err != nil {
			return c, fmt.Errorf("IPsec's counters: %.40s: %.40q is no number", f[0], f[1])
		}
		switch name := f[0]; {
		case bytes.HasPrefix(name, []byte("XfrmIn")):
			c.RxErrors += n
		case bytes.HasPrefix(name, []byte("XfrmOut")), bytes.Equal(name, []byte("XfrmAcquireError")):
			c.TxErrors += n
		}
	}
	return c, nil
}
