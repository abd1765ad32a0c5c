package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/images/provision"
	"github.com/linkseal/linkseal/images/provision/source"
	"github.com/linkseal/linkseal/images/provision/store"
	"github.com/linkseal/linkseal/images/provision/wire"
)

const (
	// dvdTime is how long Azure's DVD is waited for, and readyTime how long the
	// platform is tried: it gives a machine up after 20 minutes.
	dvdTime   = time.Minute
	readyTime = 20 * time.Minute
	readyWait = 5 * time.Second
)

func imageReadyVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "Tell Azure that the machine is provisioned, or why not (called by units)",
		Long: `Tell Azure's platform that the machine is provisioned, or why it could not be, as
images without an agent do. Elsewhere it does nothing. It goes by the interface
whose DHCP lease is the platform's alone; where there is none for 20 minutes, as with
static addresses, the platform is not told, and that is no failure.
linkseal-ready.service calls it, and nothing waits for it.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !source.Azure("") {
				return nil
			}
			ctx, stop := onlyFirst(untilSignal(c))
			defer stop()
			return reportReady(ctx, c.ErrOrStderr())
		},
	}
}

func reportReady(ctx context.Context, log io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tell := func(err error) { fmt.Fprintf(log, "%v; tried again every %s\n", err, readyWait) }
	dvd, giveUp := context.WithTimeout(ctx, dvdTime)
	defer giveUp()
	failed := ""
	before, err := (&store.Store{}).Provisioned()
	if err != nil {
		return err
	}
	// A machine that was made without a DVD is ready all the same.
	_ = wire.Until(dvd, time.Second, func(context.Context) (err error) {
		outcomes, err := provision.Report(provision.ReportFile)
		if err == nil && len(outcomes) == 0 && !before {
			err = errors.New("the provisioning DVD has not been read yet")
		}
		failed = provision.Failure(outcomes, before)
		return err
	}, tell)
	err = wire.Until(ctx, readyWait, func(ctx context.Context) error {
		way, err := wire.Find(wire.Leases)
		if err != nil {
			return err
		}
		return wire.NewClient(way).Report(ctx, failed)
	}, tell)
	if errors.Is(err, wire.ErrNoLease) {
		// Its addresses are static. As a failed unit that would block every update.
		fmt.Fprintf(log, "%v: Azure is not told\n", err)
		return nil
	}
	if err == nil {
		fmt.Fprintln(log, "Azure knows that the machine is up")
	}
	return err
}
