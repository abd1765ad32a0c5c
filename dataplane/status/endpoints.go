package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// endpoint is one thing that the control socket does, and who may have it.
type endpoint struct {
	method, path string
	may          rule
	serve        func(*server, http.ResponseWriter, *http.Request)
}

var endpoints = []endpoint{
	{http.MethodGet, "/v1/status", rootOrGroup, (*server).status},
	{http.MethodPost, "/v1/reload", rootOrGroup, (*server).reload},
	{http.MethodPost, "/v1/rotate", rootOrGroup, (*server).rotate},
}

// ServeHTTP finds the endpoint; a caller who may have none learns of none.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r, rootOrGroup) {
		return
	}
	if full := callerOf(r).full; full != "" {
		refuse(w, r, http.StatusTooManyRequests, full)
		return
	}
	for _, e := range endpoints {
		switch {
		case e.path != r.URL.Path:
		case e.method != r.Method:
			w.Header().Set("Allow", e.method)
			answer(w, http.StatusMethodNotAllowed, failure{fmt.Sprintf("%s %s; accepted: %s", r.Method, e.path, e.method)})
			return
		case s.admit(w, r, e.may):
			e.serve(s, w, r)
			return
		default:
			return
		}
	}
	answer(w, http.StatusNotFound, failure{"there is no such endpoint; accepted: " + paths()})
}

func paths() string {
	var b bytes.Buffer
	for i, e := range endpoints {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.method + " " + e.path)
	}
	return b.String()
}

func (s *server) status(w http.ResponseWriter, _ *http.Request) {
	st := s.Snapshot()
	st.Fill()
	answer(w, http.StatusOK, st)
}

// reloadTime is how long a caller waits for a reload.
const reloadTime = time.Minute

// reloaded is the answer to a reload.
type reloaded struct {
	Reloaded bool     `json:"reloaded"`
	Errors   []string `json:"errors,omitempty"`
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	if !read(w, r, &struct{}{}) {
		return
	}
	if s.Reload == nil {
		answer(w, http.StatusNotImplemented, failure{"this daemon does not reload"})
		return
	}
	end, ok := begin(w, r, &s.reloads)
	if !ok {
		return
	}
	defer end()
	s.asked(r, "a reload was asked for")
	ctx, cancel := context.WithTimeout(r.Context(), reloadTime)
	defer cancel()
	wrong, err := s.Reload(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		answer(w, http.StatusGatewayTimeout, failure{fmt.Sprintf("the reload has not ended in %s; linkseal status and the daemon's log tell what becomes of it", reloadTime)})
	case err != nil:
		answer(w, http.StatusServiceUnavailable, failure{fmt.Sprintf("what became of the reload is not known: %v; is the daemon being stopped?", err)})
	case len(wrong) > 0:
		answer(w, http.StatusConflict, reloaded{Errors: wrong})
	default:
		answer(w, http.StatusOK, reloaded{Reloaded: true})
	}
}

// begin takes a place of p for a request that takes its time, until end, or
// answers that there is none.
func begin(w http.ResponseWriter, r *http.Request, p *places) (end func(), ok bool) {
	uid := callerOf(r).holder()
	if full := p.take(uid); full != "" {
		refuse(w, r, http.StatusTooManyRequests, full)
		return nil, false
	}
	return func() { p.give(uid) }, true
}

// asked logs who asked for what changes something.
func (s *server) asked(r *http.Request, what string, more ...any) {
	by := callerOf(r)
	s.Log.Info(what, append(more, "uid", by.UID, "gid", by.GID, "pid", by.PID)...)
}

// failure is an answer, or a stream's last line, that is an error.
type failure struct {
	Error string `json:"error"`
}

// answer writes document. A client that does not take it in time loses it.
func answer(w http.ResponseWriter, code int, document any) {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// A connection that takes no deadline takes no answer either.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n'))
}

// refuse answers with an error and closes the connection. What a client is
// still sending, as far as a body may go, is read first: with its last octets
// unsent many a client does not look for an answer.
func refuse(w http.ResponseWriter, r *http.Request, code int, text string) {
	io.CopyN(io.Discard, r.Body, maxBody)
	w.Header().Set("Connection", "close")
	answer(w, code, failure{text})
}

// maxBody bounds a request's body, in octets.
const maxBody = 4 << 10

// read reads r's body, one JSON object, into document, a pointer to a struct,
// and answers what is wrong with it. An empty body is an empty object. After
// it the request may take its time.
func read(w http.ResponseWriter, r *http.Request, document any) bool {
	refuse := func(code int, text string) bool {
		refuse(w, r, code, text)
		return false
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.ContentLength != 0 && (err != nil || kind != "application/json") {
		return refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("a body of type %.40q; accepted: application/json", r.Header.Get("Content-Type")))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is too long; accepted: %d octets", maxBody))
	}
	if err != nil {
		return refuse(http.StatusBadRequest, fmt.Sprintf("the body cannot be read: %v", err))
	}
	if len(body) > 0 {
		// A later client may ask for what this daemon does not know, and must
		// not be told that it was done.
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err = d.Decode(document); err == nil {
			if _, err = d.Token(); err == nil {
				err = errors.New("more than one object")
			} else if errors.Is(err, io.EOF) {
				err = nil
			}
		}
		if err != nil {
			return refuse(http.StatusBadRequest, fmt.Sprintf("the body: %v; accepted: one JSON object of the fields that are known", err))
		}
	}
	// A deadline that passes while nothing is read would look like a client
	// that has gone.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		return refuse(http.StatusInternalServerError, err.Error())
	}
	return true
}
