package kay

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

const (
	// maxFrame bounds an MKPDU: it fits in one frame of 1500 octets with
	// tags; jumbo ones are not MKA's.
	maxFrame = 2048
	// A batch is read while another is looked at; more waits in the socket's
	// buffer, where the kernel drops and counts. What is due does not wait for
	// the end of a batch (mka.Entity.Step).
	batches, batchFrames = 2, 64
	// rereadAfter is the wait after a failed read: the device may be down for
	// a moment.
	rereadAfter = 200 * time.Millisecond
)

func newBatch() [][]byte {
	frames := make([][]byte, batchFrames)
	for i := range frames {
		frames[i] = make([]byte, maxFrame)
	}
	return frames
}

// read hands frames to the KaY's goroutine, once there are keys, until the
// connection is closed.
func (k *KaY) read(ctx context.Context) {
	select {
	case <-k.keyed:
	case <-ctx.Done():
		return
	}
	told := ""
	for {
		var batch [][]byte
		select {
		case batch = <-k.free:
		case <-ctx.Done():
			return
		}
		for i := range batch {
			batch[i] = batch[i][:maxFrame]
		}
		n, err := k.conn.ReadBatch(batch)
		if err == nil && n > 0 {
			select {
			case k.frames <- batch[:n]:
				told = ""
				continue
			case <-ctx.Done():
				return
			}
		}
		k.free <- batch
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			k.cfg.Log.Warn("MKPDUs cannot be read; trying again", "port", k.cfg.Port, "error", err)
		}
		select {
		case <-time.After(rereadAfter):
		case <-ctx.Done():
			return
		}
	}
}
