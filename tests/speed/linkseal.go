package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// subject is the contender that the ratios are about.
const subject = "linkseal"

func openUserspace(ctx context.Context, b *bench) (*ends, error) {
	return openLinkseal(ctx, b, "userspace")
}

func openKernel(ctx context.Context, b *bench) (*ends, error) {
	return openLinkseal(ctx, b, "kernel")
}

// untilSecured is how long two linksealds may take to agree on a SAK.
const untilSecured = 20 * time.Second

func openLinkseal(ctx context.Context, b *bench, dataplane string) (*ends, error) {
	if _, err := os.Stat(b.settings.linkseal); err != nil {
		return nil, fmt.Errorf("%w; build it with make, or name one with -linkseal", err)
	}
	key, err := lab.RandomKey(rand.Reader, 32, 32)
	if err != nil {
		return nil, err
	}
	e, err := between(1600, b.settings.linkseal)
	if err != nil {
		return nil, err
	}
	for i, a := range e.lab.Appliances {
		port := lab.Port{Cipher: "gcm-aes-256", Priority: 16 + i, Dataplane: dataplane}
		if err := errors.Join(a.WriteConfig(port), a.WriteKeys(key)); err != nil {
			return e, err
		}
		// What the daemon would refuse is told by check at once.
		_, stderr, code, err := a.Verb(ctx, "check", "--config", a.ConfigFile())
		if err != nil {
			return e, err
		}
		if code != 0 {
			return e, fmt.Errorf("linkseal check refuses dataplane: %s:\n%s", dataplane, strings.TrimSpace(stderr))
		}
		if err := a.Start(); err != nil {
			return e, err
		}
		e.daemons = append(e.daemons, a.Pid())
	}
	ctx, cancel := context.WithTimeout(ctx, untilSecured)
	defer cancel()
	secured := func(p status.Port) bool { return p.State == status.Secured && p.Tx != nil && len(p.Rx) > 0 }
	if _, err := lab.Wait(ctx, "both ends secured", secured, e.lab.Appliances...); err != nil {
		for _, a := range e.lab.Appliances {
			err = fmt.Errorf("%w\n%s:\n%s", err, a.Name, strings.TrimSpace(a.Log()))
		}
		return e, err
	}
	return e, nil
}
