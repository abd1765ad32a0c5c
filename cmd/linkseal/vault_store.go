package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

// vaultStore is a vault as a store of pairs, or of PSKs, to be rotated.
type vaultStore struct {
	keyvault.Vault
	psk bool
}

// List implements rotate.Store.
func (s vaultStore) List(ctx context.Context) ([]course.Pair, error) {
	listed, err := s.Vault.List(ctx)
	if err != nil {
		return nil, refusal(err)
	}
	var all []course.Pair
	for _, l := range listed {
		if l.State == keyvault.Disabled {
			continue
		}
		all = append(all, course.Pair{ID: l.ID, PSK: s.psk, Window: l.Window(), Created: l.Created, Owner: l.Owner, Fallback: l.Fallback, Whole: l.State == keyvault.Complete})
	}
	return all, nil
}

// Write implements rotate.Store.
func (s vaultStore) Write(ctx context.Context, o course.Order) (course.Pair, error) {
	w, err := s.Vault.Write(ctx, keyvault.Pair{ID: o.ID, Owner: o.Owner, Octets: o.Octets, Text: o.Text, NotBefore: o.NotBefore, Expires: o.Expires})
	if err != nil {
		return course.Pair{}, refusal(err)
	}
	return course.Pair{ID: o.ID, CKN: w.CKN, PSK: s.psk, Window: w.Window(), Owner: o.Owner, Whole: true}, nil
}

// Retire implements rotate.Store.
func (s vaultStore) Retire(ctx context.Context, id string) error {
	return refusal(s.Vault.Disable(ctx, id))
}

// refusal marks a fault that is an answer: whether anything was changed is then
// known by what the vault lists. After one on the way it is not: what was sent
// may yet arrive.
func refusal(err error) error {
	var f *keyvault.Fault
	if !errors.As(err, &f) {
		return err
	}
	switch f.Kind {
	case keyvault.Unauthorised, keyvault.Forbidden, keyvault.NotFound, keyvault.Conflict, keyvault.RefusedPair:
		return fmt.Errorf("%w: %w", course.ErrRefused, err)
	}
	return err
}
