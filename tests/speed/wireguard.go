package main

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/tests/lab"
)

// wireguardModule is the path of stock wireguard-go and of its main package.
const wireguardModule = "golang.zx2c4.com/wireguard"

// wireguardVersion is the module version that a binary was built from. Another
// program, or one built from a changed copy, is refused: it is not stock.
func wireguardVersion(binary string) (string, error) {
	b, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", fmt.Errorf("wireguard-go: %w; build it with make bin/wireguard-go", err)
	}
	if b.Path != wireguardModule || b.Main.Path != wireguardModule || b.Main.Sum == "" || b.Main.Replace != nil {
		return "", fmt.Errorf("wireguard-go: %s is built from %s %s, not from a release of %s", binary, b.Main.Path, b.Main.Version, wireguardModule)
	}
	return b.Main.Version, nil
}

// end is one wireguard-go.
type end struct {
	ns       *netns.NS
	device   string
	key      *ecdh.PrivateKey
	underlay netip.AddrPort
	address  netip.Prefix // in the tunnel
	process  *process
}

func openWireguardGo(ctx context.Context, b *bench) (*ends, error) {
	version, err := wireguardVersion(b.settings.wireguardGo)
	if err != nil {
		return nil, err
	}
	b.notes = append(b.notes, "wireguard-go is "+version)
	e, err := between(1600, "")
	if err != nil {
		return nil, err
	}
	// The processes outlive this call, not the contender.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var peers [2]*end
	e.stop = func() error {
		cancel()
		for _, p := range peers {
			if p != nil && p.process != nil {
				<-p.process.exited
			}
		}
		return nil
	}
	for i, a := range e.lab.Appliances {
		under := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 24)
		if err := give(a.NS, lab.Device, under); err != nil {
			return e, err
		}
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return e, err
		}
		// The control sockets of all namespaces are in one folder: the names
		// of the devices have to differ.
		peers[i] = &end{
			ns: a.NS, device: fmt.Sprintf("ls%d%c", os.Getpid(), 'w'+rune(i)), key: key,
			underlay: netip.AddrPortFrom(under.Addr(), 51820), address: a.Address,
		}
	}
	for i, p := range peers {
		if p.process, err = start(life, p.ns, b.settings.wireguardGo, "-f", p.device); err != nil {
			return e, err
		}
		e.daemons = append(e.daemons, p.process.cmd.Process.Pid)
		if err := p.configure(ctx, peers[1-i]); err != nil {
			return e, err
		}
	}
	return e, nil
}

// configure gives a wireguard-go that has just started its keys and peer, and
// its device the address and the MTU.
func (p *end) configure(ctx context.Context, peer *end) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	if err := configureOver(c, p, peer); err != nil {
		return fmt.Errorf("wireguard-go: configure %s: %w", p.device, err)
	}
	return errors.Join(p.ns.Do(p.setMTU), give(p.ns, p.device, p.address))
}

// dial waits for the control socket.
func (p *end) dial(ctx context.Context) (net.Conn, error) {
	socket := "/var/run/wireguard/" + p.device + ".sock"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			return c, nil
		}
		select {
		case <-tick.C:
		case <-p.process.exited:
			if cause := context.Cause(ctx); cause != nil { // which may have ended it too
				return nil, fmt.Errorf("wireguard-go: %w", cause)
			}
			return nil, fmt.Errorf("wireguard-go ended at once: %w", errors.Join(p.process.failure(), errors.New(strings.TrimSpace(p.process.errs.String()))))
		case <-ctx.Done():
			return nil, fmt.Errorf("wireguard-go: %w", err)
		}
	}
}

// configureOver speaks the configuration protocol of
// wireguard.com/xplatform: lines of key=value, an empty line, and errno=0 back.
func configureOver(c net.Conn, p, peer *end) error {
	if _, err := fmt.Fprintf(c, "set=1\nprivate_key=%s\nlisten_port=%d\nreplace_peers=true\npublic_key=%s\nendpoint=%s\nreplace_allowed_ips=true\nallowed_ip=%s\n\n",
		hex.EncodeToString(p.key.Bytes()), p.underlay.Port(), hex.EncodeToString(peer.key.PublicKey().Bytes()), peer.underlay, peer.address.Masked()); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "errno=0\n" {
		return fmt.Errorf("it answers %q", strings.TrimSpace(answer))
	}
	return nil
}

func (p *end) setMTU() error {
	h, err := link.Open()
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.ByName(p.device)
	if err != nil {
		return err
	}
	return h.SetMTU(l.Index, 1500)
}
