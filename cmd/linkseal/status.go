package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/status"
)

func statusVerb() *cobra.Command {
	var daemon daemonFlags
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show ports, peers, SAs and counters of the running daemon",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := daemon.client(c)
			if err != nil {
				return err
			}
			show := showStatus(client, asJSON)
			if watch {
				ctx, stop := onlyFirst(untilSignal(c))
				defer stop()
				return watchStatus(ctx, c.OutOrStdout(), show, asJSON)
			}
			return show(c.Context(), c.OutOrStdout())
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	c.Flags().BoolVar(&watch, "watch", false, "show it anew every second, until interrupted")
	return c
}

func showStatus(client *status.Client, asJSON bool) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		if asJSON {
			document, err := client.Document(ctx)
			if err == nil {
				_, err = w.Write(document)
			}
			return err
		}
		s, err := client.Status(ctx)
		if err != nil {
			return err
		}
		return s.Write(w, time.Now())
	}
}

// watchStatus shows it every second. In text it begins again at the top of
// the screen.
func watchStatus(ctx context.Context, w io.Writer, show func(context.Context, io.Writer) error, asJSON bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if !asJSON {
			fmt.Fprint(w, "\x1b[H\x1b[2J")
		}
		if err := show(ctx, w); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
