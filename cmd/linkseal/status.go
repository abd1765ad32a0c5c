package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func statusVerb() *cobra.Command {
	var daemon daemonFlags
	var asJSON, watch bool
	var interval time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show ports, peers, SAs and counters of the running daemon",
		Long: `Show ports, peers, SAs and counters of the running daemon.

With --watch a table is redrawn on a terminal until ctrl-C: state, rates by
direction and verdict, what passed under each key, circuits and classes, SAs, peers,
keys and what is wrong. Where the output is no terminal it is a block at each
interval, with --json one document a line. A daemon that is away is told, and tried
again.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case c.Flags().Changed("interval") && !watch:
				return usage(errors.New("--interval is for --watch alone; give both"))
			case interval < leastInterval:
				return usage(fmt.Errorf("--interval %s; accepted: %s and more", interval, leastInterval))
			}
			client, err := daemon.client(c)
			if err != nil {
				return err
			}
			if watch {
				// Whatever ends it, the terminal is given back.
				ctx, stop := onlyFirst(untilSignal(c, unix.SIGHUP, unix.SIGQUIT))
				defer stop()
				w := &watcher{client: client, interval: interval, out: c.OutOrStdout(), errOut: c.ErrOrStderr()}
				if asJSON {
					return w.documents(ctx)
				}
				return w.table(ctx)
			}
			if asJSON {
				document, err := client.Document(c.Context())
				if err == nil {
					_, err = c.OutOrStdout().Write(document)
				}
				return err
			}
			s, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			return s.Write(c.OutOrStdout(), time.Now())
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document; with --watch one a line")
	c.Flags().BoolVar(&watch, "watch", false, "show it anew at each interval, with rates, until interrupted")
	c.Flags().DurationVar(&interval, "interval", time.Second, "with --watch: how often, a `DURATION`")
	return c
}
