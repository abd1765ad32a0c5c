package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// keepAlive is how often a stream that has nothing to tell sends an empty
// line, so that either end notices when the other has gone.
const keepAlive = 15 * time.Second

// backlog is how many events may wait for a client.
const backlog = 256

var errSlow = fmt.Errorf("the client leaves %d events unread", backlog)

func (s *server) rotate(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Name string `json:"name"`
	}
	if !read(w, r, &ask) {
		return
	}
	switch {
	case ask.Name == "":
		answer(w, http.StatusBadRequest, failure{`no name; accepted: {"name": PORT}`})
		return
	case s.Rotate == nil:
		answer(w, http.StatusNotImplemented, failure{"this daemon does not rotate keys"})
		return
	}
	end, ok := begin(w, r, &s.followed)
	if !ok {
		return
	}
	defer end()
	s.asked(r, "a rotation was asked for", "port", ask.Name)
	by := callerOf(r).Cred
	follow(r.Context(), w, func(ctx context.Context, emit func(any) error) error {
		return s.Rotate(ctx, ask.Name, by, emit)
	})
}

// follow streams what run emits to the client until run returns. It does not
// hold run up: a client that is gone or too slow loses the rest, and run's
// context ends.
func follow(parent context.Context, w http.ResponseWriter, run func(ctx context.Context, emit func(any) error) error) {
	ctx, end := context.WithCancelCause(parent)
	defer end(nil)
	lines := make(chan []byte, backlog)
	emit := func(event any) error {
		line, err := json.Marshal(event)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		select {
		case lines <- append(line, '\n'):
			return nil
		default:
			end(errSlow)
			return errSlow
		}
	}
	result := make(chan error, 1)
	go func() { result <- run(ctx, emit) }()
	out := &stream{w: w, control: http.NewResponseController(w)}
	write := func(line []byte) {
		if err := out.write(line); err != nil {
			end(fmt.Errorf("the client has gone: %w", err))
		}
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case line := <-lines:
			write(line)
			tick.Reset(keepAlive)
		case <-tick.C:
			write([]byte("\n"))
		case err := <-result:
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				err = context.Cause(ctx) // why, not only that
			}
			for len(lines) > 0 { // emitted before it returned
				write(<-lines)
			}
			out.finish(err)
			return
		}
	}
}

// stream is an answer of one JSON object a line.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
	err     error // what the client could not be told
}

// write sends one line at once.
func (s *stream) write(line []byte) error {
	if s.err != nil {
		return s.err
	}
	if s.err = s.control.SetWriteDeadline(time.Now().Add(writeTime)); s.err != nil {
		return s.err
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	}
	if _, s.err = s.w.Write(line); s.err == nil {
		s.err = s.control.Flush()
	}
	return s.err
}

// finish tells how it ended: where nothing was said yet by the HTTP status.
func (s *stream) finish(err error) {
	switch {
	case err != nil && !s.begun:
		code := http.StatusInternalServerError
		if refused := (*Refusal)(nil); errors.As(err, &refused) && refused.Status >= 400 && refused.Status < 600 {
			code = refused.Status
		}
		answer(s.w, code, failure{err.Error()})
	case err != nil:
		line, _ := json.Marshal(failure{err.Error()}) // a string always encodes
		s.write(append(line, '\n'))
	case !s.begun:
		s.write(nil) // an empty stream
	}
}
