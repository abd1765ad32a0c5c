package main

import (
	"maps"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/sealed/tpm"
	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/packet/unbound"
	"github.com/linkseal/linkseal/linux/probe"
)

func brokerVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "broker",
		Short: "Open for the daemon what takes more privilege than it has; for its unit",
		Long: `Open for the daemon what takes CAP_SYS_ADMIN or is a packet socket, so that the
daemon, which reads what peers and users send, does without: BPF programs and maps
by id, the root of the cgroups, packet sockets, the TPM, trials of what the kernel has,
whether the clock is kept; to give its control socket to a group, and charon's sockets
room.
linkseal-broker.service runs it, on the socket of linkseal-broker.socket; it
answers processes of the same user alone.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLog("text")
			if err != nil {
				return err
			}
			l, err := broker.Activated()
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(c)
			defer stop()
			lends := maps.Clone(bpf.Lends)
			lends[broker.PacketSocket], lends[broker.TPM] = unbound.Lend, tpm.Lend
			lends[broker.Group], lends[broker.Trial] = status.Lend, probe.Lend
			lends[broker.Deepen] = ipsec.Lend
			return broker.Serve(ctx, l, lends, log)
		},
	}
}
