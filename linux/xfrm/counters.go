package xfrm

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxStat bounds the kernel's table: it has some thirty lines of some thirty
// octets.
const maxStat = 64 << 10

// Counters are the packets that IPsec has dropped in a network namespace, of all
// its SAs and policies together: those that came in and those that were to leave.
type Counters struct {
	RxErrors, TxErrors uint64
	// By are those of them that are not 0, each by the kernel's name of its reason,
	// as XfrmInNoStates (Documentation/networking/xfrm_proc.rst).
	By map[string]uint64
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
		name := string(f[0])
		switch {
		case n == 0:
			continue
		case strings.HasPrefix(name, "XfrmIn"), name == "XfrmAcquireError":
			// The latter came before the SA that its SPI is reserved for (xfrm_input).
			c.RxErrors += n
		case strings.HasPrefix(name, "XfrmOut"):
			c.TxErrors += n
		default:
			continue
		}
		if c.By == nil {
			c.By = make(map[string]uint64)
		}
		c.By[name] = n
	}
	return c, nil
}
