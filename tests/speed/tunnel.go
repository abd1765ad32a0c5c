package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/tests/lab"
)

func openWireGuardUserspace(ctx context.Context, b *bench) (*ends, error) {
	return openTunnel(ctx, b, "userspace")
}

func openWireGuardKernel(ctx context.Context, b *bench) (*ends, error) {
	return openTunnel(ctx, b, "kernel")
}

// openTunnel starts two linksealds with a tunnel of WireGuard between them, of
// the same MTUs as wireguard-go has.
func openTunnel(ctx context.Context, b *bench, dataplane string) (*ends, error) {
	if _, err := os.Stat(b.settings.linkseal); err != nil {
		return nil, fmt.Errorf("%w; build it with make, or name one with -linkseal", err)
	}
	e, err := between(1600, b.settings.linkseal)
	if err != nil {
		return nil, err
	}
	var under [2]netip.Prefix
	var public [2]identity.Public
	for i, a := range e.lab.Appliances {
		under[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 24)
		pair, _, err := identity.Open(privateKey(a), identity.Sealers{})
		if err != nil {
			return e, err
		}
		public[i] = pair.Public
		pair.Private.Zero()
		if err := give(a.NS, lab.Device, under[i]); err != nil {
			return e, err
		}
	}
	for i, a := range e.lab.Appliances {
		text := fmt.Sprintf(`version: 1
name: %s
control: {socket: %s}
state: %s
sealing: {with: file}
tunnels:
  - name: tunnel1
    type: wireguard
    device: %s
    interface: wg1
    dataplane: %s
    local: %s
    remote: %s
    secure: should
    addresses: [%s]
    mtu: 1500
    wireguard: {private_key: %s, peer_public_key: %q}
`, a.Name, a.Socket(), a.State(), lab.Device, dataplane, under[i].Addr(), under[1-i].Addr(), a.Address, privateKey(a), public[1-i].String())
		if err := os.WriteFile(a.ConfigFile(), []byte(text), 0o644); err != nil {
			return e, err
		}
		// What the daemon would refuse is told by check at once.
		_, stderr, code, err := a.Verb(ctx, "check", "--config", a.ConfigFile())
		if err == nil && code != 0 {
			err = errors.New("linkseal check refuses it:\n" + strings.TrimSpace(stderr))
		}
		if err == nil {
			err = a.Start()
		}
		if err != nil {
			return e, err
		}
		e.daemons = append(e.daemons, a.Pid())
	}
	ctx, cancel := context.WithTimeout(ctx, untilSecured)
	defer cancel()
	for _, a := range e.lab.Appliances {
		if err := untilTunnel(ctx, a); err != nil {
			return e, fmt.Errorf("%w\n%s:\n%s", err, a.Name, strings.TrimSpace(a.Log()))
		}
	}
	return e, nil
}

// untilTunnel waits until the appliance's tunnel carries packets.
func untilTunnel(ctx context.Context, a *lab.Appliance) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := status.NewClient(a.Socket()).Status(ctx)
		if err == nil && len(s.Tunnels) == 1 && s.Tunnels[0].State == status.Secured {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the tunnel of %s is not secured: %w", a.Name, errors.Join(context.Cause(ctx), err))
		}
	}
}

func privateKey(a *lab.Appliance) string { return filepath.Join(a.Dir, "wg.key") }
