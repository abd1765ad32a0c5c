package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/linkseal/linkseal/dataplane/status"
)

const (
	headTime   = 5 * time.Second  // for a request's header
	readTime   = 10 * time.Second // for a request
	scrapeTime = 10 * time.Second // for a snapshot of all ports
	writeTime  = 20 * time.Second // for an answer, the snapshot included
	stopTime   = time.Second      // for answers that are under way when the endpoint stops or moves
	maxHeader  = 8 << 10          // octets of a request's header
	// most is how many connections there may be: what is more waits, so that
	// who asks cannot use up the daemon's file descriptors.
	most = 32
	// The wait before it is tried again doubles from the first to the second.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Endpoint serves metrics over HTTP where it is told to, while it is told to.
// What keeps it from that is logged once and stands in its Report, and is
// tried again; nothing else waits for it.
type Endpoint struct {
	handler http.Handler
	log     *slog.Logger
	changed chan struct{} // a token: another address is wanted
	listen  func(context.Context, netip.AddrPort) (net.Listener, error)

	mu      sync.Mutex
	wanted  netip.AddrPort
	serving net.Addr // nil: it is not
	failed  string   // why not
}

// NewEndpoint returns an Endpoint of what read tells. Run runs it.
func NewEndpoint(read func() status.Status, log *slog.Logger) *Endpoint {
	return &Endpoint{handler: Handler(&Collector{Read: read, Now: time.Now}, log), log: log, changed: make(chan struct{}, 1), listen: listen}
}

// Set has it served at an address and port; the zero AddrPort: nowhere. It does
// not wait.
func (e *Endpoint) Set(at netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at == e.wanted {
		return
	}
	e.wanted, e.failed = at, ""
	select {
	case e.changed <- struct{}{}:
	default: // it will look anyway
	}
}

// Report is how it stands; nil if nothing is to be served.
func (e *Endpoint) Report() *status.Metrics {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.wanted.IsValid() {
		return nil
	}
	r := &status.Metrics{Listen: e.wanted.String(), Serving: e.serving != nil, Error: e.failed}
	if e.serving != nil {
		r.Listen = e.serving.String()
	}
	return r
}

// Run serves until ctx ends.
func (e *Endpoint) Run(ctx context.Context) {
	var retry time.Duration
	for ctx.Err() == nil {
		at := e.address()
		if !at.IsValid() {
			retry = 0
			e.wait(ctx, nil)
			continue
		}
		l, err := e.listen(ctx, at)
		if err == nil {
			retry = 0
			err = e.serve(ctx, l, at)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		e.fault(at, err)
		retry = min(max(2*retry, firstRetry), lastRetry)
		again := time.NewTimer(retry)
		if e.wait(ctx, again.C) {
			retry = 0
		}
		again.Stop()
	}
}

func (e *Endpoint) address() netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wanted
}

// wait waits until something is to be done; true: another address is wanted.
func (e *Endpoint) wait(ctx context.Context, again <-chan time.Time) bool {
	select {
	case <-e.changed:
		return true
	case <-again:
	case <-ctx.Done():
	}
	return false
}

// fault notes why it is not served, and logs it when it is new.
func (e *Endpoint) fault(at netip.AddrPort, err error) {
	e.mu.Lock()
	before := e.failed
	if e.wanted == at {
		e.failed = err.Error()
	}
	e.mu.Unlock()
	if before != err.Error() {
		e.log.Error("metrics are not served; it is tried again", "listen", at, "error", err)
	}
}

// listen says what to do about what it fails of.
func listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	network := "tcp" // of IPv6: [::] is any address of either
	if at.Addr().Is4() {
		network = "tcp4"
	}
	l, err := new(net.ListenConfig).Listen(ctx, network, at.String())
	remedy := "`metrics: {listen: ADDRESS:PORT}` in the configuration names another"
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "stop what has it, or name another port with `metrics: {listen: ADDRESS:PORT}`"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "give an interface this address, or name another with `metrics: {listen: ADDRESS:PORT}`"
	case errors.Is(err, syscall.EACCES):
		remedy = "a port below 1024 takes CAP_NET_BIND_SERVICE; or name another with `metrics: {listen: ADDRESS:PORT}`"
	}
	return nil, fmt.Errorf("%w; %s", cause(err), remedy)
}

// cause is what the system says, without the address that is told beside it.
func cause(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}

// serve serves on l, and closes it, until another address than at is wanted or
// ctx ends: nil; or until l fails.
func (e *Endpoint) serve(ctx context.Context, l net.Listener, at netip.AddrPort) error {
	e.set(l.Addr())
	defer e.set(nil)
	h := &http.Server{
		Handler:           e.handler,
		ReadHeaderTimeout: headTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug), // what clients do wrong is theirs
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(netutil.LimitListener(l, most)) }()
	e.log.Info("metrics are served", "url", "http://"+l.Addr().String()+Path)
	for e.address() == at && ctx.Err() == nil {
		select {
		case err := <-done:
			return errors.Join(err, h.Close())
		case <-e.changed:
		case <-ctx.Done():
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if h.Shutdown(grace) != nil {
		h.Close()
	}
	<-done
	e.log.Info("metrics are no longer served", "listen", l.Addr())
	return nil
}

func (e *Endpoint) set(at net.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.serving = at; at != nil {
		e.failed = ""
	}
}
