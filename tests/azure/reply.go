package azure

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// reply is what a call is answered with.
type reply struct {
	status int
	header http.Header
	body   []byte
	// cut ends the connection after half of the body.
	cut bool
	// pad is how many octets of filling follow the body.
	pad int64
}

// answer is a reply with a JSON body.
func answer(status int, body any) *reply {
	octets, err := json.Marshal(body)
	if err != nil {
		// Only types of this package come here.
		panic(fmt.Sprintf("azure: an answer that is no JSON: %v", err))
	}
	return &reply{status: status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: octets}
}

// problem is a vault's error, as it is on the wire below "error".
type problem struct {
	Code    string      `json:"code"`
	Message string      `json:"message"`
	Inner   *innerError `json:"innererror,omitempty"`
}

type innerError struct {
	Code string `json:"code"`
}

// fail is a vault's reply that says what is wrong; inner may be "".
func fail(status int, code, inner, format string, args ...any) *reply {
	p := problem{Code: code, Message: fmt.Sprintf(format, args...)}
	if inner != "" {
		p.Inner = &innerError{inner}
	}
	return answer(status, map[string]problem{"error": p})
}

func badParameter(format string, args ...any) *reply {
	return fail(http.StatusBadRequest, "BadParameter", "", format, args...)
}

func notFound(id string) *reply {
	return fail(http.StatusNotFound, "SecretNotFound", "",
		"A secret with (name/id) %s was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", id)
}

func deletedNotFound(name string) *reply {
	return fail(http.StatusNotFound, "SecretNotFound", "", "Deleted Secret not found: %s", name)
}

func nowhere() *reply {
	return fail(http.StatusNotFound, "NotFound", "", "There is nothing at this address.")
}

// write sends the reply, and cuts the connection if it says so.
func (p *reply) write(w http.ResponseWriter) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	if p.pad == 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(p.body)))
	}
	w.WriteHeader(p.status)
	body := p.body
	if p.cut {
		body = body[:len(body)/2]
	}
	// A client that has gone needs no answer.
	_, err := w.Write(body)
	if p.pad > 0 && err == nil {
		_, _ = io.CopyN(w, blanks{}, p.pad)
	}
	if p.cut {
		// What was written has to leave before the connection ends.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// blanks is white space without end.
type blanks struct{}

func (blanks) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
