package kay

import (
	"context"
	"encoding/hex"
	"log/slog"

	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// level is how much a report matters: what stops or threatens traffic warns.
func level(k mka.ReportKind) slog.Level {
	switch k {
	case mka.PeerExpired, mka.SAKAbandoned, mka.SAKRefused, mka.CAKHeld, mka.TransmitTimeout, mka.PNExhaustion,
		mka.Malformed, mka.UnknownCKN, mka.ICVBad, mka.Replayed, mka.OwnMI, mka.DuplicateSCI, mka.PeerListFull,
		mka.PortUnsecured:
		return slog.LevelWarn
	case mka.ChangeFailed, mka.NoRandom:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// tell logs a report.
func (k *KaY) tell(r mka.Report) {
	if r.Kind == mka.CAKLeft {
		k.retired()
	}
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("port", k.cfg.Port))
	if len(r.CKN) > 0 {
		attrs = append(attrs, slog.String("ckn", hex.EncodeToString(r.CKN)))
	}
	if r.SCI != (sa.SCI{}) {
		attrs = append(attrs, slog.String("sci", r.SCI.String()))
	}
	if !r.Key.IsZero() {
		attrs = append(attrs, slog.String("key", r.Key.String()), slog.Int("an", int(r.AN)))
	}
	if r.Cause != "" {
		attrs = append(attrs, slog.String("cause", r.Cause))
	}
	k.cfg.Log.LogAttrs(context.Background(), level(r.Kind), r.Kind.String(), attrs...)
}
