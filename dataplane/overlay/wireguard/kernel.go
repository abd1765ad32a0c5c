package wireguard

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/linux/netns"
)

// kernel is a WireGuard of the kernel's.
type kernel struct {
	name   string
	client *wgctrl.Client
	have   settings // as configured, or found; keys are not looked at
	keyed  bool     // its private key is ours
	public identity.Public
}

// openKernel opens what there is: peers that it has stay until configure.
func openKernel(ns *netns.NS, name string, own identity.Public) (*kernel, error) {
	k := &kernel{name: name, public: own}
	err := ns.Do(func() (err error) { k.client, err = wgctrl.New(); return err })
	if err != nil {
		return nil, fmt.Errorf("WireGuard of the kernel: %w", err)
	}
	err = k.device(func(d *wgtypes.Device) {
		k.have.port = uint16(d.ListenPort)
		for _, p := range d.Peers {
			k.have.peers = append(k.have.peers, found(p))
		}
	})
	if err != nil {
		k.client.Close()
		return nil, err
	}
	return k, nil
}

// device reads it, and overwrites the keys in what it has read.
func (k *kernel) device(use func(*wgtypes.Device)) (err error) {
	erase.Do(func() {
		var d *wgtypes.Device
		if d, err = k.client.Device(k.name); err != nil {
			return
		}
		use(d)
		clear(d.PrivateKey[:])
		for i := range d.Peers {
			clear(d.Peers[i].PresharedKey[:])
		}
	})
	return k.fail("read", err)
}

func (k *kernel) fail(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("WireGuard %s: %s: %w", k.name, op, errGone)
	}
	return fmt.Errorf("WireGuard %s: %s: %w", k.name, op, err)
}

// found is a peer that was there before.
func found(p wgtypes.Peer) peer {
	f := peer{public: identity.Public(p.PublicKey), keep: true, keepalive: p.PersistentKeepaliveInterval}
	for _, n := range p.AllowedIPs {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			bits, _ := n.Mask.Size()
			f.allowed = append(f.allowed, netip.PrefixFrom(a.Unmap(), bits))
		}
	}
	f.allowed = sorted(f.allowed)
	return f
}

func (k *kernel) adopt() (psks map[identity.Public]*secret.Key, err error) {
	psks = map[identity.Public]*secret.Key{}
	err = k.device(func(d *wgtypes.Device) {
		for i := range d.Peers {
			p := &d.Peers[i]
			if p.PresharedKey == (wgtypes.Key{}) {
				psks[identity.Public(p.PublicKey)] = nil
				continue
			}
			psks[identity.Public(p.PublicKey)] = secret.New(p.PresharedKey[:])
		}
	})
	return psks, err
}

func (k *kernel) configure(s settings) (err error) {
	erase.Do(func() {
		var c wgtypes.Config
		var private wgtypes.Key
		changes := false
		if !k.keyed {
			// The same one again is no change to the kernel.
			copy(private[:], s.private.Bytes())
			c.PrivateKey, changes = &private, true
		}
		if port := int(s.port); k.have.port != s.port {
			c.ListenPort, changes = &port, true
		}
		c.Peers = k.changes(s)
		if changes || len(c.Peers) > 0 {
			err = k.client.ConfigureDevice(k.name, c)
		}
		clear(private[:])
		for i := range c.Peers {
			if p := c.Peers[i].PresharedKey; p != nil {
				clear(p[:])
			}
		}
	})
	if err != nil {
		return k.fail("configure", portTaken(s.port, err))
	}
	k.keyed, k.have = true, s
	return nil
}

// changes are the peers that differ.
func (k *kernel) changes(s settings) (out []wgtypes.PeerConfig) {
	for _, had := range k.have.peers {
		if p, ok := s.find(had.public); !ok || p.generation != had.generation {
			out = append(out, wgtypes.PeerConfig{PublicKey: wgtypes.Key(had.public), Remove: true})
		}
	}
	for _, p := range s.peers {
		switch had, ok := k.have.find(p.public); {
		case !ok || p.generation != had.generation:
			out = append(out, change(nil, p))
		case !same(had, p):
			out = append(out, change(&had, p))
		}
	}
	return out
}

// change is what differs of to from from, nil for a peer that is not there. An
// endpoint that was found stays: the peer may have roamed.
func change(from *peer, to peer) wgtypes.PeerConfig {
	c := wgtypes.PeerConfig{PublicKey: wgtypes.Key(to.public), UpdateOnly: from != nil}
	if !to.keep && (from == nil || from.keep || from.name != to.name) {
		c.PresharedKey = new(wgtypes.Key)
		if to.psk != nil {
			copy(c.PresharedKey[:], to.psk.Bytes())
		}
	}
	adopted := from != nil && !from.endpoint.IsValid() && from.redirect == to.redirect
	if to.endpoint.IsValid() && !adopted && (from == nil || from.endpoint != to.endpoint || from.redirect != to.redirect) {
		c.Endpoint = net.UDPAddrFromAddrPort(to.endpoint)
	}
	if from == nil || from.keepalive != to.keepalive {
		c.PersistentKeepaliveInterval = &to.keepalive
	}
	var had []netip.Prefix
	if from != nil {
		had = from.allowed
	}
	// There is no message that takes one away: all are replaced then, and for
	// that moment the peer has none.
	c.ReplaceAllowedIPs = slices.ContainsFunc(had, func(a netip.Prefix) bool { return !slices.Contains(to.allowed, a) })
	for _, a := range to.allowed {
		if c.ReplaceAllowedIPs || !slices.Contains(had, a) {
			c.AllowedIPs = append(c.AllowedIPs, net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())})
		}
	}
	return c
}

// begin has the kernel send a keepalive: with no session it begins a handshake
// for it, and with one of its own that is 120 s old.
func (k *kernel) begin(p identity.Public, s settings) error {
	to, ok := s.find(p)
	if !ok {
		return nil
	}
	off, on, back := time.Duration(0), max(to.keepalive, time.Second), to.keepalive
	c := wgtypes.PeerConfig{PublicKey: wgtypes.Key(p), UpdateOnly: true}
	var steps []wgtypes.PeerConfig
	for _, interval := range []*time.Duration{&off, &on, &back} {
		c.PersistentKeepaliveInterval = interval
		steps = append(steps, c)
	}
	return k.fail("begin a handshake", k.client.ConfigureDevice(k.name, wgtypes.Config{Peers: steps}))
}

func (k *kernel) forces() bool { return false }

func (k *kernel) read() (all map[identity.Public]reading, err error) {
	err = k.device(func(d *wgtypes.Device) {
		k.compare(d)
		all = make(map[identity.Public]reading, len(d.Peers))
		for _, p := range d.Peers {
			r := reading{handshake: p.LastHandshakeTime, rx: uint64(p.ReceiveBytes), tx: uint64(p.TransmitBytes)}
			if p.Endpoint != nil {
				r.endpoint = unmapped(p.Endpoint.AddrPort())
			}
			if r.handshake.Unix() == 0 {
				r.handshake = time.Time{}
			}
			all[identity.Public(p.PublicKey)] = r
		}
	})
	return all, err
}

// compare notes what somebody else has changed, so that configure changes it
// back; but for PSKs.
func (k *kernel) compare(d *wgtypes.Device) {
	k.keyed = k.keyed && identity.Public(d.PublicKey) == k.public
	k.have.port = uint16(d.ListenPort)
	var peers []peer
	for _, p := range d.Peers {
		f := found(p)
		if had, ok := k.have.find(f.public); ok {
			had.keepalive, had.allowed = f.keepalive, f.allowed
			f = had
		}
		peers = append(peers, f)
	}
	k.have.peers = peers
}

func (k *kernel) close() error { return k.client.Close() }

func (k *kernel) remove() error {
	var none wgtypes.Key
	err := k.client.ConfigureDevice(k.name, wgtypes.Config{PrivateKey: &none, ReplacePeers: true})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // its interface is gone, and it with that
	}
	return errors.Join(k.fail("remove", err), k.client.Close())
}
