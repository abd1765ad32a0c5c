package main

import (
	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/update"
)

func imageHealthVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Say whether the version that runs is healthy (called by units)",
		Long: `Say whether the version that runs is healthy: the root is verified, /var can be
written, no unit has failed that had not when this version was installed,
systemd-networkd and the packet filter are active, SSH and linkseal's broker if they
were, the daemon answers, and what was secured then is secured again, and closed to
all that is not encrypted if it was: if that is not known, all that is secure: must.
It waits for that for three minutes at the most; exit status 1 and the reasons if it
does not come, or does not last. Without a configuration nothing is asked of the
daemon.

linkseal-health.service calls it in the first boots of an update. If it fails the
machine reboots; after three such boots systemd-boot takes the version before.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return update.ThisMachine.Health(c.Context(), bundle.Config, sayTo(c))
		},
	}
}
