package keyvault

import (
	"context"
	"log/slog"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Read asks v once for the keychain name, which the caller owns and zeroes,
// and for what is refused in it. The error is a *Fault.
func Read(ctx context.Context, name string, v Vault) (*keychain.Keychain, []Refused, error) {
	s := NewSource(name, time.Minute, v, slog.New(slog.DiscardHandler))
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state.zero()
	}()
	a, err := v.Fetch(ctx, s.request())
	fault, _ := s.take(a, err)
	refused := s.Report().Refused
	chain, err := s.Load()
	switch {
	case fault != nil:
		chain.Zero()
		return nil, refused, fault
	case err != nil:
		return nil, refused, asFault(err)
	}
	return chain, refused, nil
}
