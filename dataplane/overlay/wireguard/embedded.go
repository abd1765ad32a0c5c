package wireguard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"

	"golang.zx2c4.com/wireguard/conn"
	wg "golang.zx2c4.com/wireguard/device"

	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/linux/netns"
)

// embedded is a WireGuard in this process.
type embedded struct {
	ns    *netns.NS
	tun   *hosted
	dev   *wg.Device
	have  settings // as configured; keys are not looked at
	keyed bool     // it has its private key
	up    bool
	heard heard
}

func newEmbedded(ns *netns.NS, t *hosted, b conn.Bind, log *slog.Logger) *embedded {
	e := &embedded{ns: ns, tun: t}
	e.dev = wg.NewDevice(t, b, e.heard.logger(log))
	return e
}

// set hands over what build appends, which is zeroed after.
func (e *embedded) set(build func([]byte) []byte) (err error) {
	// In the namespace: a change of port opens sockets.
	return e.ns.Do(func() error {
		erase.Do(func() {
			b := build(make([]byte, 0, 4096))
			if len(b) > 0 {
				err = e.dev.IpcSetOperation(bytes.NewReader(b))
			}
			clear(b)
		})
		return err
	})
}

func (e *embedded) configure(s settings) error {
	if e.gone() {
		return errGone
	}
	e.tun.setMTU(s.mtu)
	err := e.set(func(b []byte) []byte {
		if !e.keyed {
			b = appendPrivate(b, s.private)
		}
		if e.have.port != s.port {
			b = fmt.Appendf(b, "listen_port=%d\n", s.port)
		}
		for _, had := range e.have.peers {
			if p, ok := s.find(had.public); !ok || p.generation != had.generation {
				// Its PSK goes with it, and not by itself.
				b = append(appendPSK(appendHex(b, "public_key", had.public[:]), nil), "remove=true\n"...)
			}
		}
		for _, p := range s.peers {
			switch had, ok := e.have.find(p.public); {
			case !ok || p.generation != had.generation:
				b = appendPeer(b, nil, p)
			case !same(had, p):
				b = appendPeer(b, &had, p)
			}
		}
		return b
	})
	if err != nil {
		return portTaken(s.port, err)
	}
	e.keyed, e.have = true, s
	if !e.up {
		if err := e.ns.Do(e.dev.Up); err != nil {
			return portTaken(s.port, err)
		}
		e.up = true
	}
	return nil
}

func portTaken(port uint16, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("UDP port %d is in use by another program: %w; ss -ulpn shows it", port, err)
	}
	return err
}

func (e *embedded) begin(p identity.Public, _ settings) error {
	if q := e.dev.LookupPeer(wg.NoisePublicKey(p)); q != nil && e.up {
		return q.SendHandshakeInitiation(false)
	}
	return nil
}

func (e *embedded) forces() bool { return true }

func (e *embedded) gone() bool {
	select {
	case <-e.dev.Wait():
		return true
	default:
		return false
	}
}

func (e *embedded) read() (all map[identity.Public]reading, err error) {
	if e.gone() {
		return nil, errGone
	}
	erase.Do(func() { err = e.dev.IpcGetOperation(reader{&all}) })
	if err != nil {
		return nil, err
	}
	// Which peer's is not told.
	if refused := e.heard.refused.Load(); refused > 0 && len(all) == 1 {
		for p, r := range all {
			r.refused = refused
			all[p] = r
		}
	}
	return all, nil
}

// reader takes the device's whole answer in one Write, which has its keys, and
// overwrites it: it is a buffer that wireguard-go keeps.
type reader struct{ all *map[identity.Public]reading }

func (r reader) Write(text []byte) (int, error) {
	defer clear(text)
	all, err := parse(text)
	if err != nil {
		return 0, err
	}
	*r.all = all
	return len(text), nil
}

var _ io.Writer = reader{}

func (e *embedded) adopt() (map[identity.Public]*secret.Key, error) { return nil, nil }

// close ends it, with the keys in its structures overwritten: PSKs before their
// peers go, the private key when nothing runs any more. A device that has that
// changed while it reads the answer to a handshake stops for good: each waits for
// what the other has locked (SetPrivateKey, ConsumeMessageResponse).
func (e *embedded) close() error {
	err := e.set(func(b []byte) []byte {
		for _, p := range e.have.peers {
			b = append(appendHex(b, "public_key", p.public[:]), "update_only=true\n"...)
			b = appendPSK(b, nil)
		}
		return b
	})
	e.dev.Close()
	err = errors.Join(err, e.set(func(b []byte) []byte { return appendHex(b, "private_key", zeroKey) }))
	if errors.Is(err, net.ErrClosed) || e.gone() {
		return nil
	}
	return err
}

func (e *embedded) remove() error { return e.close() }
