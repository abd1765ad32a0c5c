package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/linux/peercred"
)

// do sends a request and returns its answer's status and body.
func do(t *testing.T, c *Client, method, path, kind string, body io.Reader) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://linkseal"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// Whatever is asked for wrongly is refused, in JSON, and nothing is done.
func TestWrongRequests(t *testing.T) {
	d := Daemon{Snapshot: example,
		Reload: func(context.Context) ([]string, error) { t.Error("reloaded"); return nil, nil },
		Rotate: func(context.Context, string, peercred.Cred, func(any) error) error { t.Error("rotated"); return nil },
	}
	const object = "application/json"
	within(t, d, root, func(t *testing.T, _ *pipes, c *Client, _ *log, _ func()) {
		for _, r := range []struct {
			method, path, kind, body string
			code                     int
			text                     string
		}{
			{"GET", "/", "", "", 404, "there is no such endpoint; accepted: GET /v1/status, POST /v1/reload, POST /v1/rotate"},
			{"GET", "/v1/status/x", "", "", 404, "no such endpoint"},
			{"POST", "/v2/reload", "", "", 404, "no such endpoint"},
			{"POST", "/v1/status", object, "{}", 405, "POST /v1/status; accepted: GET"},
			{"GET", "/v1/reload", "", "", 405, "accepted: POST"},
			{"DELETE", "/v1/rotate", "", "", 405, "accepted: POST"},
			{"POST", "/v1/reload", "", "{}", 415, `a body of type \"\"; accepted: application/json`},
			{"POST", "/v1/rotate", "text/plain", `{"name":"a"}`, 415, "accepted: application/json"},
			{"POST", "/v1/rotate", strings.Repeat("x", 5000), `{"name":"a"}`, 415, "accepted: application/json"},
			{"POST", "/v1/rotate", object, "", 400, "no name"},
			{"POST", "/v1/rotate", object, "{}", 400, "no name"},
			{"POST", "/v1/rotate", object, `{"name":`, 400, "unexpected EOF"},
			{"POST", "/v1/rotate", object, `{"name":7}`, 400, "cannot unmarshal number"},
			{"POST", "/v1/rotate", object, `["a"]`, 400, "cannot unmarshal array"},
			{"POST", "/v1/rotate", object, `{"name":"a"}{}`, 400, "more than one object"},
			{"POST", "/v1/rotate", object, `{"name":"a"} x`, 400, "invalid character"},
			{"POST", "/v1/rotate", object, `{"name":"a","force":true}`, 400, `unknown field \"force\"`},
			{"POST", "/v1/reload", object, `{"dry":true}`, 400, `unknown field \"dry\"`},
			{"POST", "/v1/rotate", object, `{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413, "the body is too long; accepted: 4096 octets"},
			{"POST", "/v1/reload", object, strings.Repeat(" ", 20<<20), 413, "too long"},
		} {
			code, text, header := do(t, c, r.method, r.path, r.kind, strings.NewReader(r.body))
			var f failure
			if code != r.code || !strings.Contains(text, r.text) || json.Unmarshal([]byte(text), &f) != nil || f.Error == "" || header.Get("Content-Type") != object {
				t.Errorf("%s %s %.20s %.30s: %d %s", r.method, r.path, r.kind, r.body, code, text)
			}
			if allow := header.Get("Allow"); (allow != "") != (code == 405) {
				t.Errorf("%s %s: Allow: %s", r.method, r.path, allow)
			}
		}
	})
}

// Requests that do not go on are given up, and the connection with them.
func TestHangingRequests(t *testing.T) {
	for name, r := range map[string]struct {
		text string
		ends time.Duration
	}{
		"nothing":      {"", headTime},
		"half a head":  {"POST /v1/rotate HTTP/1.1\r\nHost: l", headTime},
		"no body":      {post("/v1/rotate", "12"), readTime},
		"half a body":  {post("/v1/rotate", "12") + `{"name`, readTime},
		"unread body":  {post("/v1/status", "12"), readTime + time.Second},
		"chunked body": {strings.Replace(post("/v1/reload", "x"), "Content-Length: x", "Transfer-Encoding: chunked", 1) + "5\r\n{   ", readTime},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, Daemon{Snapshot: example}, root, func(t *testing.T, p *pipes, _ *Client, _ *log, _ func()) {
				began := time.Now()
				conn := p.raw(t, r.text)
				defer conn.Close()
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > r.ends {
					t.Errorf("open for %s, want %s", took, r.ends)
				}
			})
		})
	}
}

func TestReload(t *testing.T) {
	wrong := []string{"l.yaml:3:5: unknown key", "there is no device eth9"}
	for name, c := range map[string]struct {
		reload func(context.Context) ([]string, error)
		code   int
		text   string
		err    string
	}{
		"taken":     {func(context.Context) ([]string, error) { return nil, nil }, 200, `{"reloaded":true}`, ""},
		"slow":      {func(context.Context) ([]string, error) { time.Sleep(reloadTime - time.Second); return nil, nil }, 200, `{"reloaded":true}`, ""},
		"refused":   {func(context.Context) ([]string, error) { return wrong, nil }, 409, `{"reloaded":false,"errors":["l.yaml:3:5: unknown key","there is no device eth9"]}`, strings.Join(wrong, "\n")},
		"endless":   {func(ctx context.Context) ([]string, error) { <-ctx.Done(); return nil, context.Cause(ctx) }, 504, "", "the reload has not ended in 1m0s"},
		"lost":      {func(context.Context) ([]string, error) { return nil, errStops }, 503, "", "what became of the reload is not known: the daemon stops"},
		"not there": {nil, 501, "", "this daemon does not reload"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, Daemon{Reload: c.reload}, root, func(t *testing.T, _ *pipes, client *Client, l *log, _ func()) {
				code, text, _ := do(t, client, "POST", "/v1/reload", "", nil)
				if code != c.code || (c.text != "" && strings.Join(strings.Fields(text), "") != strings.Join(strings.Fields(c.text), "")) {
					t.Errorf("%d %s", code, text)
				}
				err := client.Reload(t.Context())
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				var refused *ReloadError
				if errors.As(err, &refused) != (c.code == 409) || refused != nil && !cmp.Equal(refused.Wrong, wrong) {
					t.Errorf("error %#v", err)
				}
				if asked := strings.Count(l.String(), `msg="a reload was asked for" uid=0 gid=0 pid=7`); (asked == 2) != (c.reload != nil) {
					t.Errorf("asked %d times:\n%s", asked, l)
				}
			})
		})
	}
}

// A daemon that says neither is not believed.
func TestReloadUnclear(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                  "reload by pipe: 200 OK, and not what became of it; is it linkseal's socket?",
		"hello":               "reload by pipe: invalid character",
		`{"reloaded": false}`: "and not what became of it",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
			go answerWith(p, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
			if err := clientOver(p.dial).Reload(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", text, err)
			}
		})
	}
}

// A caller who goes does not hold the reload up, and a daemon that stops tells.
func TestReloadDaemonStops(t *testing.T) {
	begun := make(chan struct{})
	reload := func(ctx context.Context) ([]string, error) {
		close(begun)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	within(t, Daemon{Reload: reload}, root, func(t *testing.T, _ *pipes, c *Client, _ *log, stop func()) {
		go func() { <-begun; stop() }()
		err := c.Reload(t.Context())
		if refused := (*Refusal)(nil); !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(err.Error(), "the daemon stops") {
			t.Errorf("error %v", err)
		}
	})
}

// A client that hangs does not keep the daemon from ending.
func TestStopsWhateverHangs(t *testing.T) {
	within(t, Daemon{Snapshot: example}, root, func(t *testing.T, p *pipes, _ *Client, _ *log, stop func()) {
		var open []net.Conn
		for _, text := range []string{"", "GET /v1/st", post("/v1/reload", "12")} {
			open = append(open, p.raw(t, text))
		}
		synctest.Wait()
		began := time.Now()
		stop()
		for _, c := range open {
			io.Copy(io.Discard, c)
		}
		if took := time.Since(began); took > stopTime {
			t.Errorf("ended after %s, want %s", took, stopTime)
		}
	})
}
