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
	// queued frames wait for the KaY; more wait in the socket's buffer, where
	// the kernel drops and counts.
	queued = 16
	// rereadAfter is the wait after a failed read: the device may be down for
	// a moment.
	rereadAfter = 200 * time.Millisecond
)

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
		var buf []byte
		select {
		case buf = <-k.free:
		case <-ctx.Done():
			return
		}
		n, err := k.conn.Read(buf[:maxFrame])
		if err == nil && n > 0 {
			select {
			case k.frames <- buf[:n]:
				told = ""
				continue
			case <-ctx.Done():
				return
			}
		}
		k.free <- buf
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
