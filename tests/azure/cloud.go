package azure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Options say how a cloud is to be; the zero value is a good one.
type Options struct {
	// Vault is the vault's name: it is reached as NAME.vault.azure.net, and by the
	// listener's address. "linkseal" if empty.
	Vault string
	// Listener takes the TLS connections of vault and authority; loopback if nil.
	Listener net.Listener
	// Names are further DNS names and IP addresses that the certificate is good
	// for; it is for the listener's.
	Names []string
	// Metadata takes the plain connections of the managed identity; loopback if
	// nil, and none if Listener is given.
	Metadata net.Listener
	// Now tells the time; time.Now if nil.
	Now func() time.Time
	// TokenLife is how long a token is good, 1 h if 0.
	TokenLife time.Duration
	// PageSize is how many items a page of a list has, 1 to 25; 25 if 0.
	PageSize int
	// Retention is how long a deleted secret can be recovered, 90 days if 0.
	Retention time.Duration
	// Identities are known to the authority; App and a system-assigned one, both
	// allowed everything, if nil.
	Identities []Identity
	// ArcKeys is the folder that Azure Arc's key files are written to. The client
	// insists on /var/opt/azcmagent/tokens. "" switches Arc's form off.
	ArcKeys string
}

// Cloud is a running one. Its methods may be called at any time, by anyone.
type Cloud struct {
	host     string // NAME.vault.azure.net
	opts     Options
	pki      *pki
	main     *door
	metadata *door // nil: no managed identity
	servers  []*http.Server
	running  sync.WaitGroup
	closing  chan struct{}
	close    sync.Once

	mu         sync.Mutex
	store      store
	identities []*Identity
	header     string // what the managed identity's callers have to show
	arcKeys    map[string]string
	faults     []*fault
	calls      []*Call
}

// Start begins to serve. Errors are those of listening and of making keys.
func Start(o Options) (*Cloud, error) {
	if o.Vault == "" {
		o.Vault = "linkseal"
	}
	if !validName.MatchString(o.Vault) || len(o.Vault) < 3 || len(o.Vault) > 24 {
		return nil, fmt.Errorf("%q is no name of a vault: use 3 to 24 letters, digits and hyphens", o.Vault)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	if o.PageSize == 0 {
		o.PageSize = maxPage
	}
	if o.PageSize < 1 || o.PageSize > maxPage {
		return nil, fmt.Errorf("a page of %d items: a vault's has 1 to %d", o.PageSize, maxPage)
	}
	if o.Retention == 0 {
		o.Retention = 90 * 24 * time.Hour
	}
	if o.Identities == nil {
		o.Identities = []Identity{App(), System()}
	}
	c := &Cloud{
		host: strings.ToLower(o.Vault) + vaultDomain, opts: o,
		closing: make(chan struct{}), store: store{}, header: randomID(), arcKeys: map[string]string{},
	}
	for _, id := range o.Identities {
		c.Register(id)
	}
	if err := c.listen(); err != nil {
		return nil, err
	}
	names := append([]string{c.host, authorityHost, "localhost", "127.0.0.1", "::1"}, o.Names...)
	if host, _, err := net.SplitHostPort(c.Endpoint()); err == nil {
		names = append(names, host)
	}
	var err error
	if c.pki, err = newPKI(names, o.Now()); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.serveOn(tls.NewListener(c.main, c.pki.serverConfig()), c.route)
	if c.metadata != nil {
		c.serveOn(c.metadata, c.routeMetadata)
	}
	return c, nil
}

func (c *Cloud) listen() error {
	main, metadata := c.opts.Listener, c.opts.Metadata
	if main == nil {
		l, err := listenLoopback()
		if err != nil {
			return err
		}
		main = l
		if metadata == nil {
			if metadata, err = listenLoopback(); err != nil {
				return errors.Join(err, l.Close())
			}
		}
	}
	c.main = newDoor(main)
	if metadata != nil {
		c.metadata = newDoor(metadata)
	}
	return nil
}

func (c *Cloud) serveOn(l net.Listener, route func(*http.Request) request) {
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.running.Add(1)
			defer c.running.Done()
			c.serve(w, r, route(r))
		}),
		// A client that breaks off or does not trust us is what tests are about.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	c.servers = append(c.servers, srv)
	c.running.Go(func() {
		// It returns when Close closes the listener, for no other reason.
		_ = srv.Serve(l)
	})
}

// Close ends all connections and waits until no call is being answered.
func (c *Cloud) Close() error {
	var errs []error
	c.close.Do(func() {
		close(c.closing)
		for _, s := range c.servers {
			errs = append(errs, s.Close())
		}
		c.running.Wait()
		errs = append(errs, c.main.Close())
		if c.metadata != nil {
			errs = append(errs, c.metadata.Close())
		}
		for _, path := range c.arcKeys {
			errs = append(errs, os.Remove(path))
		}
	})
	return errors.Join(errs...)
}

// Refuse(true) is an outage: open connections end, new ones are refused, of vault
// and authority. Refuse(false) ends it. The managed identity is on the machine
// itself and stays.
func (c *Cloud) Refuse(on bool) error { return c.main.Refuse(on) }

// Silence(true) is an outage in which connections hang: what clients send is lost
// on the way, as behind a link that is down. Silence(false) lets it arrive.
func (c *Cloud) Silence(on bool) { c.main.Silence(on) }

func (c *Cloud) now() time.Time { return c.opts.Now() }
