package azure

import (
	"errors"
	"io"
	"net"
	"net/http"
)

// maxBody is more than the largest value in JSON has.
const maxBody = 512 << 10

// serve answers one call: notes it, and has the faults that are about it do
// their worst.
func (c *Cloud) serve(w http.ResponseWriter, r *http.Request, q request) {
	var err error
	if q.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		q.handle = func(*request) *reply { return fail(status, "BadParameter", "", "The body cannot be read.") }
	}
	q.call.From = caller(r.RemoteAddr)
	faults := c.begin(q.call)
	x := &exchange{cloud: c, request: &q}
	next := func() *reply { return q.handle(&q) }
	for _, f := range faults {
		after := next
		next = func() *reply { return f.Effect.do(x, after) }
	}
	p := next()
	c.end(q.call, p)
	if p == nil {
		panic(http.ErrAbortHandler) // ends the connection with no answer
	}
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set("X-Ms-Request-Id", randomID())
	p.write(w)
}

// caller is the host of an address that may have a port.
func caller(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
