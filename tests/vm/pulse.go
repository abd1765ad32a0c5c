package vm

import (
	"context"
	"io"
	"os"
	"time"
)

// pulse asks QEMU's monitor for its state every second, until ctx ends, and
// drops the answers. With a clock that counts instructions a guest whose
// processors all wait for a timer can wait for ever: QEMU (7.2) looks at that
// clock again when its main loop has something to do, and nothing else has it
// do anything.
func pulse(ctx context.Context, monitor *os.File) {
	go io.Copy(io.Discard, monitor)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ask := `{"execute":"qmp_capabilities"}`
	for {
		if _, err := io.WriteString(monitor, ask+"\n"); err != nil {
			return
		}
		ask = `{"execute":"query-status"}`
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
