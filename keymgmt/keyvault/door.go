package keyvault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxBody is the most of an answer that is read: a page has 25 versions
	// with 15 tags of 512 octets each, a value 25 KB.
	maxBody = 256 << 10
	// callTime bounds one call, its body included.
	callTime = 20 * time.Second
	// maxRetryAfter is the longest that is believed.
	maxRetryAfter = time.Hour
)

// role is who is at the other end of a door.
type role string

const (
	theVault     role = "vault"
	theAuthority role = "authority" // or the endpoint of managed identities
)

// door is the SDK's way out, its Transporter: one to the vault, one to who
// gives tokens. It bounds what comes in, follows no redirect, lets a request
// for the vault, with its token, go nowhere else, and notes what is wrong in
// the trace of the context, whatever the SDK makes of it.
type door struct {
	role   role
	host   string // of the vault: the only one; of the authority: any
	plain  bool   // http is allowed: to a managed identity's endpoint
	client *http.Client
}

// Do implements policy.Transporter.
func (d *door) Do(req *http.Request) (*http.Response, error) {
	t := traceOf(req.Context())
	if err := d.leads(req); err != nil {
		return nil, t.note(err)
	}
	ctx, cancel := context.WithTimeout(req.Context(), callTime)
	defer cancel()
	resp, err := d.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, t.note(d.unreachable(req, err))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	resp.Body.Close()
	switch {
	case err != nil:
		clear(body)
		return nil, t.note(d.unreachable(req, err))
	case len(body) > maxBody:
		clear(body)
		return nil, t.note(faultf(Malformed, "%s sent more than %d octets to %s; find out who answers there", d.name(req), maxBody, t.op))
	}
	resp.Body, resp.ContentLength = &erased{bytes.NewReader(body), body}, int64(len(body))
	resp.Request = req
	if f := d.judge(req, resp, body, t.op); f != nil {
		t.note(f)
		return resp, nil
	}
	t.note(nil)
	return resp, nil
}

// leads refuses a request that does not lead where the door does.
func (d *door) leads(req *http.Request) error {
	switch u := req.URL; {
	case u.Scheme != "https" && !d.plain:
		return faultf(Malformed, "a request in clear to %s is refused; accepted: https", u.Host)
	case d.role == theVault && !strings.EqualFold(u.Host, d.host):
		return faultf(Lying, "vault %s leads to another host, %.100q, for the next page of a list; find out who answers for the vault", d.host, u.Host)
	}
	return nil
}

func (d *door) name(req *http.Request) string {
	if d.role == theVault {
		return "vault " + d.host
	}
	return "token endpoint " + req.URL.Host
}

// judge is what a status of 400 and more says, and a redirect.
func (d *door) judge(req *http.Request, resp *http.Response, body []byte, op string) *Fault {
	status := resp.StatusCode
	if status < 300 {
		return nil
	}
	code := errorCode(body)
	said := fmt.Sprintf("%s answered %d", d.name(req), status)
	if code != "" {
		said += " (" + code + ")"
	}
	said += " to " + op
	f := &Fault{Kind: ServerError, RetryAfter: retryAfter(resp.Header, time.Now()), code: code}
	var remedy string
	switch {
	case status == http.StatusUnauthorized && d.role == theVault && req.Header.Get("Authorization") == "":
		if !answerable(resp.Header.Get("WWW-Authenticate")) {
			resp.Header.Del("WWW-Authenticate") // the SDK falls over it
		}
		f.Kind, remedy = Unauthorised, "how it asks for a token cannot be answered: check that the URL is a key vault's and the tenant its own"
	case d.role == theAuthority && (status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound):
		f.Kind, remedy = Unauthorised, "check the credential: its type, client_id, tenant_id and file"
	case status == http.StatusUnauthorized:
		f.Kind, remedy = Unauthorised, "check that the credential is of the vault's tenant"
	case status == http.StatusForbidden:
		f.Kind, remedy = Forbidden, "grant the identity Key Vault Secrets User (to rotate, Officer), or have the vault's firewall let it pass"
	case status == http.StatusNotFound:
		f.Kind, remedy = NotFound, "check the secret's name, or write a first pair with linkseal keys generate"
	case status == http.StatusConflict:
		f.Kind, remedy = Conflict, "the secret is deleted and not purged: recover it or purge it"
	case status == http.StatusTooManyRequests:
		f.Kind, remedy = Throttled, "poll less often"
	case status < 500:
		remedy = "check the vault's URL"
	default:
		remedy = "it is tried again"
	}
	f.Text = said + "; " + remedy
	return f
}

// unreachable is an error of the connection. Its text is told only if it is
// known to have nothing of an answer in it.
func (d *door) unreachable(req *http.Request, err error) *Fault {
	if errors.Is(err, context.Canceled) {
		return faultf(Local, "it was given up")
	}
	cause, kind := connectionCause(err)
	if kind == Malformed {
		return faultf(Malformed, "%s does not answer in HTTP; find out who answers there", d.name(req))
	}
	return faultf(Unreachable, "%s cannot be reached: %s; look at the network, the proxy and the endpoint", d.name(req), cause)
}

// erased is a body that is cleared when it is closed.
type erased struct {
	*bytes.Reader
	octets []byte
}

func (e *erased) Close() error {
	clear(e.octets)
	return nil
}

// answerable tells whether the SDK can read a challenge: it takes the fourth
// part of the authorization's URL for the tenant, unseen.
func answerable(challenge string) bool {
	for _, part := range strings.Split(strings.ReplaceAll(challenge, "Bearer ", ""), " ") {
		name, value, ok := strings.Cut(part, "=")
		value = strings.ReplaceAll(strings.TrimSuffix(value, ","), `"`, "")
		if ok && name == "authorization" && value != "" && strings.Count(value, "/") < 3 {
			return false
		}
	}
	return true
}

// retryAfter reads Retry-After (RFC 9110 10.2.3): seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	var d time.Duration
	if s, err := strconv.ParseUint(text, 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// trace is what one call of the SDK met, and what it was for.
type trace struct {
	op   string
	mu   sync.Mutex
	last *Fault
}

type traceKey struct{}

func withTrace(ctx context.Context, op string) (context.Context, *trace) {
	t := &trace{op: op}
	return context.WithValue(ctx, traceKey{}, t), t
}

// traceOf is the trace of ctx, or one that nobody reads.
func traceOf(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return &trace{op: "a request"}
}

// note keeps what the last call met, nil if nothing was wrong, and returns it.
func (t *trace) note(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = nil
	if f := (*Fault)(nil); errors.As(err, &f) {
		t.last = f
	}
	return err
}

// met is what the last call met.
func (t *trace) met() *Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// fault is err, which the SDK returned, as what the doors saw. Nothing of the
// SDK's text is used: it quotes answers.
func (t *trace) fault(ctx context.Context, err error) *Fault {
	switch last := t.met(); {
	case err == nil:
		return nil
	case ctx.Err() != nil && (last == nil || last.Kind == Local):
		return asFault(ctx.Err())
	case last != nil:
		return last
	}
	return faultf(Malformed, "the answer to %s is not what a key vault answers; find out who answers for it", t.op)
}
