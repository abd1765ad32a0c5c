package azure

import (
	"fmt"
	"math"
	"net/http"
	"time"
)

// Status answers with an error in place of the answer, with the code and words
// that the service has for it. retryAfter, rounded up to seconds, goes with it if
// not 0.
func Status(status int, retryAfter time.Duration) Effect {
	return Effect{fmt.Sprintf("status %d", status), func(x *exchange, _ func() *reply) *reply {
		p := x.request.failure(status)
		if retryAfter > 0 {
			p.header.Set("Retry-After", fmt.Sprint(int64(math.Ceil(retryAfter.Seconds()))))
		}
		return p
	}}
}

// failure is the service's usual answer of this status.
func (q *request) failure(status int) *reply {
	if AnyAuthority.covers(q.call.Op) {
		code, word := 90033, "temporarily_unavailable"
		switch {
		case status == http.StatusTooManyRequests:
			code = 90056
		case status == http.StatusUnauthorized:
			code, word = 7000215, "invalid_client"
		case status < 500:
			code, word = 900144, "invalid_request"
		}
		return denied(status, word, code, "A fault was asked for.")
	}
	if q.call.Op == OpIdentity {
		return machineProblem(status, "A fault was asked for.")
	}
	switch status {
	case http.StatusUnauthorized:
		return fail(status, "Unauthorized", "", "AKV10046: Unable to resolve the key used for signature validation.")
	case http.StatusForbidden:
		return fail(status, "Forbidden", "ForbiddenByFirewall",
			"Client address is not authorized and caller is not a trusted service.")
	case http.StatusNotFound:
		return notFound(q.call.Secret)
	case http.StatusConflict:
		return fail(status, "Conflict", "ObjectIsBeingRecovered",
			"Secret %s is currently being recovered and cannot be re-created; retry later.", q.call.Secret)
	case http.StatusTooManyRequests:
		return fail(status, "Throttled", "",
			"Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached")
	case http.StatusInternalServerError:
		return fail(status, "InternalServerError", "", "Internal server error.")
	}
	return fail(status, http.StatusText(status), "", "%s", http.StatusText(status))
}

// Delay answers late, but right.
func Delay(by time.Duration) Effect {
	return Effect{fmt.Sprintf("delay %v", by), func(x *exchange, next func() *reply) *reply {
		t := time.NewTimer(by)
		defer t.Stop()
		select {
		case <-t.C:
			return next()
		case <-x.request.http.Context().Done():
		case <-x.cloud.closing:
		}
		return nil
	}}
}

// Hang never answers: the client has to give up.
func Hang() Effect {
	return Effect{"hang", func(x *exchange, _ func() *reply) *reply {
		select {
		case <-x.request.http.Context().Done():
		case <-x.cloud.closing:
		}
		return nil
	}}
}

// Reset ends the connection; nothing is done.
func Reset() Effect {
	return Effect{"reset", func(*exchange, func() *reply) *reply { return nil }}
}

// Lose does what is asked and ends the connection in place of the answer.
func Lose() Effect {
	return Effect{"lose", func(_ *exchange, next func() *reply) *reply {
		next()
		return nil
	}}
}

// Die calls kill, which is to end the caller: in place of what is asked, or when
// it is done and before it is answered. The connection then ends.
func Die(done bool, kill func(Call)) Effect {
	name := map[bool]string{false: "die before", true: "die after"}[done]
	return Effect{name, func(x *exchange, next func() *reply) *reply {
		if done {
			next()
		}
		kill(*x.request.call)
		return nil
	}}
}

// Truncate ends the connection in the middle of the answer.
func Truncate() Effect {
	return Effect{"truncate", func(_ *exchange, next func() *reply) *reply {
		p := next()
		if p != nil {
			p.cut = true
		}
		return p
	}}
}

// Garbage answers 200 with a body that is no JSON, as a captive portal does.
func Garbage() Effect {
	return Effect{"garbage", func(*exchange, func() *reply) *reply {
		return &reply{
			status: http.StatusOK, header: http.Header{"Content-Type": {"text/html"}},
			body: []byte("<html><body>Sign in to the network</body></html>"),
		}
	}}
}

// Huge lets octets of white space follow the answer.
func Huge(octets int64) Effect {
	return Effect{"huge", func(_ *exchange, next func() *reply) *reply {
		p := next()
		if p != nil {
			p.pad = octets
		}
		return p
	}}
}
