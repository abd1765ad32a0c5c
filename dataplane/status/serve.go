package status

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/linkseal/linkseal/linux/peercred"
)

// Daemon is what the control socket opens to its callers. The functions may be
// called from any goroutine. Without Reload or Rotate those are answered with
// 501.
type Daemon struct {
	Snapshot func() Status
	// Reload reads the configuration anew and says all that is wrong with it;
	// nothing: it runs. An error is that it is not known what became of it.
	Reload func(ctx context.Context) (wrong []string, err error)
	// Rotate starts a rotation of the keys of the port called name, for by,
	// and follows it: it hands what happens to emit, which makes a JSON object
	// of each event and does not wait for the client. It returns when the
	// rotation has ended, nil if well. An error before the first event may be
	// a *Refusal. When ctx ends, or emit returns an error, the client has gone
	// or the daemon stops: then it returns soon, and the rotation goes on.
	Rotate func(ctx context.Context, name string, by peercred.Cred, emit func(event any) error) error
	Log    *slog.Logger
}

// Refusal is an error with the HTTP status that tells it.
type Refusal struct {
	Status int // 404: no such port, 409: another has it, 501: it cannot be rotated, ...
	Err    error
}

func (r *Refusal) Error() string { return r.Err.Error() }

func (r *Refusal) Unwrap() error { return r.Err }

const (
	headTime  = 5 * time.Second  // for a request's header
	readTime  = 10 * time.Second // for a request
	writeTime = 10 * time.Second // for an answer, or a line of a stream
	stopTime  = time.Second      // for answers that are under way when the daemon stops
)

// Serve answers requests on l until ctx is done, and closes l. It returns nil
// when ctx ended it.
//
//	GET  /v1/status   200, a Status from Snapshot
//	POST /v1/reload   {} or nothing
//	                  200 {"reloaded": true}
//	                  409 {"reloaded": false, "errors": [...]}
//	POST /v1/rotate   {"name": PORT}
//	                  200, application/x-ndjson: events, one object a line, as
//	                  they happen; empty lines while nothing does; the last is
//	                  {"error": "..."} and no more if it did not end well
//
// All else is {"error": "..."}. Who is neither root nor in l's group gets 403,
// whatever the mode of the socket's file has become; who has too much open, 429.
func Serve(ctx context.Context, l *Listener, d Daemon) error {
	return (&server{Daemon: d, group: l.group, groupName: groupName(l.group), who: credentials}).serve(ctx, l)
}

// server is Serve at work.
type server struct {
	Daemon
	group     uint32
	groupName string // for people
	who       func(net.Conn) (peercred.Cred, error)
	refusals  Quiet
	crowds    Quiet
	followed  places
	reloads   places
}

// errStops is why requests that are under way end.
var errStops = errors.New("the daemon stops")

func (s *server) serve(ctx context.Context, l net.Listener) error {
	s.followed = places{all: mostFollowed, one: eachFollowed, root: rootsFollowed, what: "rotations that are followed"}
	s.reloads = places{all: mostReloads, one: eachReloads, root: rootsReloads, what: "reloads that are waited for"}
	requests, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(errStops)
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       identify,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		end(errStops) // they tell their clients
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if h.Shutdown(grace) != nil {
			h.Close()
		}
	})
	err := h.Serve(s.bound(l))
	if !stop() {
		<-stopped
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, h.Close())
	}
	return nil
}
