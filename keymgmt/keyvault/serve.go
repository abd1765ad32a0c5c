package keyvault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// HelperVerb is the hidden verb by which this program is the helper. Its main
// calls ServeHelper, before anything else touches standard input or output.
const HelperVerb = "vault-helper"

// ServeHelper does one order and returns the exit status: 0 if it could
// answer, be it with a fault. It takes the whole process for it: no core, no
// tracing, and an end at the deadline.
func ServeHelper(stdin io.Reader, stdout io.Writer) int {
	if err := harden(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxOrder+1))
	var o order
	if err == nil && len(text) <= maxOrder {
		err = json.Unmarshal(text, &o)
	}
	if err != nil || o.Op == "" {
		fmt.Fprintln(os.Stderr, "no order on standard input; the daemon alone runs this")
		return 1
	}
	ctx, cancel := context.WithDeadline(context.Background(), o.Deadline)
	defer cancel()
	// What does not end by itself, ends so.
	time.AfterFunc(time.Until(o.Deadline)+time.Second, func() { os.Exit(1) })
	m, values := serve(ctx, o)
	err = writeAnswer(stdout, m, values)
	if c, ok := stdout.(io.Closer); ok && err == nil {
		err = c.Close() // nobody waits for the rest
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "answer:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, o order) (m meta, values []Value) {
	defer func() {
		// Whatever the SDK fell over: what it says may be a value.
		if recover() != nil {
			m, values = meta{Failed: faultf(Malformed, "vault %s: its answer broke the client; find out who answers for it", printable(o.Config.URL, 200))}, nil
		}
	}()
	c, err := Open(o.Config)
	if err != nil {
		return meta{Failed: asFault(err)}, nil
	}
	defer c.Close()
	switch o.Op {
	case "fetch":
		var a *Answer
		if a, err = c.Fetch(ctx, o.Request); err == nil {
			m.Versions, m.Fault, values = a.Versions, a.Fault, a.Values
		}
	case "write":
		m.Written, err = c.Write(ctx, o.Pair)
	case "disable":
		err = c.Disable(ctx, o.ID)
	case "list":
		m.Pairs, err = c.List(ctx)
	default:
		err = faultf(Local, "order %q", o.Op)
	}
	m.Failed = asFault(err)
	return m, values
}

// harden keeps values out of core files, other processes of the user and, as
// far as the limits let it, swap.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT) // not allowed to everybody
	return nil
}
