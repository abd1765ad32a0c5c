package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec"
	"github.com/linkseal/linkseal/dataplane/overlay/wireguard"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/sealed"
	"github.com/linkseal/linkseal/linux/echo"
	"github.com/linkseal/linkseal/linux/netns"
)

// tunnels opens what encrypts of the daemon's tunnels.
type tunnels struct {
	ns     *netns.NS
	sealer sealed.Options // of private keys
	ipsec  *ipsec.Runner
	log    *slog.Logger
}

// openTunnels is for the daemon's network namespace.
func openTunnels(c *config.Config, log *slog.Logger) (*tunnels, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, err
	}
	t := &tunnels{ns: ns, sealer: sealing(c), log: log}
	t.ipsec = ipsec.NewRunner(ipsec.CharonOptions{Dir: filepath.Join(filepath.Dir(c.Socket), "charon"), NS: ns, Log: log})
	if err := t.ipsec.Configured(ipsecTunnels(c)); err != nil {
		log.Warn("what an earlier linkseal left in charon does not go", "error", err)
	}
	if err := wireguard.KeepSources(ns, sources(c)); err != nil {
		log.Warn("what an earlier linkseal left in nftables (table linkseal-source) does not go", "error", err)
	}
	return t, nil
}

// sources names what tunnels of WireGuard may have in nftables: their interfaces.
func sources(c *config.Config) (names []string) {
	for _, t := range c.Tunnels {
		if t.Type == config.TypeWireGuard {
			names = append(names, t.Interface)
		}
	}
	return names
}

// ipsecTunnels names the tunnels of IPsec.
func ipsecTunnels(c *config.Config) (names []string) {
	for _, t := range c.Tunnels {
		if t.Type == config.TypeIPsec {
			names = append(names, t.Name)
		}
	}
	return names
}

// Close lets go of what tunnels share. What encrypts in the kernel stays, and
// charon.
func (t *tunnels) Close() error { return errors.Join(t.ipsec.Close(), t.ns.Close()) }

// open starts c, whose interfaces are at.
func (t *tunnels) open(c config.Tunnel, at overlay.Place) (overlay.Session, error) {
	switch c.Type {
	case config.TypeWireGuard:
		sealer, _, err := sealed.Choose(t.sealer)
		if err != nil {
			return nil, fmt.Errorf("the private key of tunnel %s cannot be unsealed: %w", c.Name, err)
		}
		return wireguard.Open(t.ns, c, at, wireguard.Options{Log: t.log, Sealers: identity.Sealers{Now: sealer, Named: t.sealer.Named}})
	case config.TypeIPsec:
		return t.ipsec.Open(c, at)
	}
	return nil, fmt.Errorf("tunnel %s: type %q is unknown; wireguard and ipsec are accepted", c.Name, c.Type)
}

// answer answers the other end's probes: see reconcile.Options.
func (t *tunnels) answer(device string, local, from netip.Addr) (c io.Closer, err error) {
	err = t.ns.Do(func() (err error) { c, err = echo.Answer(device, local, from); return err })
	return c, err
}
