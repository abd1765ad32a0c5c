package wireguard

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	wg "golang.zx2c4.com/wireguard/device"
)

// heard counts what wireguard-go says only in its log.
type heard struct {
	refused atomic.Uint64 // answers to a handshake that did not verify
	unknown atomic.Uint64 // handshakes by a peer that it does not know
}

// logger sends wireguard-go's log to log at debug. Its lines name peers by parts
// of their public keys, and no other keys.
func (h *heard) logger(log *slog.Logger) *wg.Logger {
	say := func(format string, args ...any) {
		if log.Enabled(context.Background(), slog.LevelDebug) {
			log.Debug("wireguard: " + fmt.Sprintf(format, args...))
		}
	}
	return &wg.Logger{
		Verbosef: func(format string, args ...any) {
			switch {
			case strings.HasPrefix(format, "Received invalid response message"):
				h.refused.Add(1)
			case strings.HasPrefix(format, "Received invalid initiation message"):
				h.unknown.Add(1)
			}
			say(format, args...)
		},
		Errorf: say,
	}
}
