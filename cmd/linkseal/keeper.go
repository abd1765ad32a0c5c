package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/keymgmt/sealed/tpm"
)

// keeper keeps the last good keys in the state directory, sealed. What they
// are sealed with is chosen when it is first needed, and again after it could
// not be: a TPM may be late, and is no reason not to run.
type keeper struct {
	options sealed.Options
	log     *slog.Logger
	store   *sealed.Store
}

func newKeeper(c *config.Config, log *slog.Logger) *keeper {
	return &keeper{log: log, options: sealing(c)}
}

// sealing is what c has keys at rest sealed with.
func sealing(c *config.Config) sealed.Options {
	return sealed.Options{With: c.Sealing.With, Path: c.Sealing.Path, PCRs: c.Sealing.PCRs, StateDir: c.State}
}

func (k *keeper) open() error {
	if k.store != nil {
		return nil
	}
	sealer, reason, err := sealed.Choose(k.options)
	if err != nil {
		return err
	}
	if k.store, err = sealed.Open(k.options.StateDir, sealer); err != nil {
		return err
	}
	k.log.Info("the last good keys are sealed", "with", sealer.Name(), "reason", reason)
	return nil
}

// Load implements reconcile.Keeper.
func (k *keeper) Load() (reconcile.Kept, error) {
	if err := k.open(); errors.Is(err, tpm.ErrHangs) {
		return reconcile.Kept{}, later{err}
	} else if err != nil {
		return reconcile.Kept{}, err
	}
	c, err := k.store.Load()
	if errors.Is(err, tpm.ErrHangs) {
		return reconcile.Kept{}, later{err}
	}
	for _, r := range k.store.Refused() {
		if err == nil { // else it is told with err
			k.log.Warn("a file of sealed keys is refused; the other one is used", "error", r)
		}
	}
	if errors.Is(err, sealed.ErrEmpty) {
		return reconcile.Kept{}, nil
	}
	return reconcile.Kept(c), err
}

// later marks the error of a TPM that may yet answer.
type later struct{ error }

func (l later) Unwrap() error { return l.error }

func (later) Is(target error) bool { return target == reconcile.ErrLater }

// Save implements reconcile.Keeper.
func (k *keeper) Save(c reconcile.Kept) error {
	if err := k.open(); err != nil {
		return err
	}
	if err := k.store.Save(sealed.Contents(c)); err != nil {
		return fmt.Errorf("sealing keys: %w", err)
	}
	return nil
}
