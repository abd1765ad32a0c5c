package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/wireguard"
	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/linux/echo"
	"github.com/linkseal/linkseal/linux/netns"
)

// tunnels opens what encrypts of the daemon's tunnels.
type tunnels struct {
	ns     *netns.NS
	sealer sealed.Options // of private keys
	log    *slog.Logger
}

// openTunnels is for the daemon's network namespace.
func openTunnels(c *config.Config, log *slog.Logger) (*tunnels, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, err
	}
	return &tunnels{ns: ns, sealer: sealing(c), log: log}, nil
}

// Close lets go of what tunnels share. What encrypts in the kernel stays.
func (t *tunnels) Close() error { return t.ns.Close() }

// open starts c, whose interfaces are at.
func (t *tunnels) open(c config.Tunnel, at overlay.Place) (overlay.Session, error) {
	switch c.Type {
	case config.TypeWireGuard:
		sealer, _, err := sealed.Choose(t.sealer)
		if err != nil {
			return nil, fmt.Errorf("the private key of tunnel %s cannot be unsealed: %w", c.Name, err)
		}
		return wireguard.Open(t.ns, c, at, wireguard.Options{Log: t.log, Sealer: sealer})
	}
	return nil, fmt.Errorf("tunnel %s: type %q is unknown; wireguard is accepted", c.Name, c.Type)
}

// answer answers the other end's probes: see reconcile.Options.
func (t *tunnels) answer(device string, local, from netip.Addr) (c io.Closer, err error) {
	err = t.ns.Do(func() (err error) { c, err = echo.Answer(device, local, from); return err })
	return c, err
}
