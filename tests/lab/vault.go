package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/linkseal/linkseal/tests/azure"
)

// The names of the secrets in a lab's vault.
const (
	CAKSecret = "link1-cak"
	CKNSecret = "link1-ckn"
)

// The ports of the vault, and of the managed identity's endpoint, on the
// loopback of every appliance.
const (
	vaultPort    = "8443"
	identityPort = "8444"
)

// StartVault starts a local Azure with a key vault that every appliance reaches
// on its own loopback, whatever becomes of its link. Keychains of the
// configurations written from now on are in it, at first empty, and read once
// in poll. Close of the lab ends it.
func (l *Lab) StartVault(poll string) (*azure.Cloud, error) {
	if l.cloud != nil {
		return nil, errors.New("the lab has a vault already")
	}
	vault, err := l.everywhere(vaultPort)
	if err != nil {
		return nil, err
	}
	identity, err := l.everywhere(identityPort)
	if err != nil {
		return nil, errors.Join(err, vault.Close())
	}
	c, err := azure.Start(azure.Options{Listener: vault, Metadata: identity})
	if err != nil {
		return nil, errors.Join(err, vault.Close(), identity.Close())
	}
	l.cloud = c
	for _, a := range l.Appliances {
		a.env = c.Env()
		a.keychain = vaultKeychain(c, filepath.Join(a.Dir, "vault-ca.pem"), poll)
		if err := os.WriteFile(filepath.Join(a.Dir, "vault-ca.pem"), c.CA(), 0o644); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// vaultKeychain is the keychain of a configuration, in YAML.
func vaultKeychain(c *azure.Cloud, ca, poll string) string {
	return strings.Join([]string{
		"source: azure-key-vault", "vault: " + c.URL(), "endpoint: " + c.Endpoint(), "ca: " + ca,
		"cak: " + CAKSecret, "ckn: " + CKNSecret, "credential: {type: managed-identity}", "poll: " + poll,
	}, "\n    ")
}

// Rotates has the appliance own the rotation of the vault's keychain, in the
// configurations written from now on: YAML, as "{every: 30d}".
func (a *Appliance) Rotates(rotation string) { a.keychain += "\n    rotation: " + rotation }

// VaultPair names the versions of a pair in a lab's vault.
type VaultPair struct{ ID, CAK, CKN string }

// PutPair puts a pair into the vault, which is preferred to those before.
func (l *Lab) PutPair(k Key) VaultPair {
	l.pairs++
	for _, a := range l.Appliances {
		a.Uses(k)
	}
	p := VaultPair{ID: fmt.Sprintf("p%d", l.pairs)}
	tags := map[string]string{"linkseal-pair": p.ID}
	// The later not_before is preferred, and a second is its unit.
	at := azure.Attributes{NotBefore: time.Now().Add(time.Duration(l.pairs)*time.Second - time.Hour)}
	p.CAK, p.CKN = l.cloud.Put(CAKSecret, k.CAK, tags, at), l.cloud.Put(CKNSecret, k.CKN, tags, at)
	return p
}

// DisablePair takes a pair away.
func (l *Lab) DisablePair(p VaultPair) {
	l.cloud.Disable(CAKSecret, p.CAK)
	l.cloud.Disable(CKNSecret, p.CKN)
}

// everywhere listens at one port on the loopback of every appliance.
func (l *Lab) everywhere(port string) (*everywhere, error) {
	e := &everywhere{accepted: make(chan net.Conn), closed: make(chan struct{})}
	for _, a := range l.Appliances {
		err := a.NS.Do(func() error {
			one, err := net.Listen("tcp", "127.0.0.1:"+port)
			if err == nil {
				e.all = append(e.all, one)
			}
			return err
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("vault at %s: %w", a.Name, err), e.Close())
		}
	}
	for i, one := range e.all {
		e.running.Go(func() { e.accept(one, address(l.Appliances[i].Name)) })
	}
	return e, nil
}

// everywhere is several listeners as one.
type everywhere struct {
	all      []net.Listener
	accepted chan net.Conn
	closing  sync.Once
	closed   chan struct{}
	running  sync.WaitGroup
}

func (e *everywhere) accept(l net.Listener, from address) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // it was closed
		}
		c = named{c, from}
		select {
		case e.accepted <- c:
		case <-e.closed:
			c.Close()
			return
		}
	}
}

// address is an appliance's name as the address of what comes from its loopback,
// where all appliances have the same.
type address string

func (address) Network() string  { return "loopback" }
func (a address) String() string { return string(a) }

// named is a connection that comes from an appliance.
type named struct {
	net.Conn
	from address
}

func (n named) RemoteAddr() net.Addr { return n.from }

func (e *everywhere) Accept() (net.Conn, error) {
	select {
	case c := <-e.accepted:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

func (e *everywhere) Addr() net.Addr { return e.all[0].Addr() }

func (e *everywhere) Close() (err error) {
	e.closing.Do(func() {
		close(e.closed)
		for _, l := range e.all {
			err = errors.Join(err, l.Close())
		}
		e.running.Wait()
	})
	return err
}

// Sealed tells whether the appliance has sealed keys.
func (a *Appliance) Sealed() bool {
	all, err := filepath.Glob(filepath.Join(a.State(), "keys.sealed.*"))
	return err == nil && len(all) > 0
}
