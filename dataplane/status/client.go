package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// DefaultSocket is the control socket's path where the configuration names
// none.
const DefaultSocket = "/run/linkseal/linkseal.sock"

// ErrNoDaemon says that nothing answers on the control socket.
var ErrNoDaemon = errors.New("no daemon answers")

const (
	// maxDocument bounds what is read of an answer: some 10,000 ports.
	maxDocument = 64 << 20
	// answerTime is how long an answer may take.
	answerTime = 10 * time.Second
)

// Client asks a running daemon. What the daemon refuses is a *Refusal.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a Client of the daemon whose control socket is at path;
// it connects with each request.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{socket: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status gets the daemon's status. The error is ErrNoDaemon, by errors.Is, if
// none is there.
func (c *Client) Status(ctx context.Context) (Status, error) {
	document, err := c.Document(ctx)
	if err != nil {
		return Status{}, err
	}
	var s Status
	if err := json.Unmarshal(document, &s); err != nil {
		return Status{}, c.failed("status from", err)
	}
	return s, nil
}

// Document is Status as the daemon wrote it, fields that this version does
// not know included.
func (c *Client) Document(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := c.send(ctx, "status from", http.MethodGet, "/v1/status", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, c.refused("status from", answer)
	}
	return c.document("status from", answer)
}

// ReloadError is all that is wrong with a configuration that was refused. What
// ran before goes on.
type ReloadError struct{ Wrong []string }

func (e *ReloadError) Error() string { return strings.Join(e.Wrong, "\n") }

// Reload has the daemon read its configuration anew, and waits until that runs
// or is refused: a *ReloadError.
func (c *Client) Reload(ctx context.Context) error {
	const what = "reload by"
	ctx, cancel := context.WithTimeout(ctx, reloadTime+answerTime)
	defer cancel()
	answer, err := c.send(ctx, what, http.MethodPost, "/v1/reload", struct{}{})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusConflict {
		return c.refused(what, answer)
	}
	document, err := c.document(what, answer)
	if err != nil {
		return err
	}
	var r reloaded
	switch err := json.Unmarshal(document, &r); {
	case err != nil:
		return c.failed(what, err)
	case r.Reloaded:
		return nil
	case len(r.Errors) > 0:
		return &ReloadError{r.Errors}
	}
	return c.failed(what, fmt.Errorf("%s, and not what became of it; is it linkseal's socket?", answer.Status))
}

// send sends one request. what is for errors, such as "status from".
func (c *Client) send(ctx context.Context, what, method, path string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://linkseal"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(what, err)
	}
	return answer, nil
}

// document reads an answer's body.
func (c *Client) document(what string, answer *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, c.failed(what, err)
	case len(body) > maxDocument:
		return nil, c.failed(what, fmt.Errorf("more than %d octets; is it linkseal's socket?", maxDocument))
	}
	return body, nil
}

// refused makes an error of an answer that is one.
func (c *Client) refused(what string, answer *http.Response) error {
	document, err := c.document(what, answer)
	if err != nil {
		return err
	}
	var f failure
	if json.Unmarshal(document, &f) != nil || f.Error == "" {
		return c.failed(what, fmt.Errorf("%s; is it linkseal's socket, and of this version?", answer.Status))
	}
	err = &Refusal{Status: answer.StatusCode, Err: errors.New(f.Error)}
	if answer.StatusCode == http.StatusForbidden {
		return fmt.Errorf("control socket %s: %w", c.socket, err)
	}
	return err
}

func (c *Client) failed(what string, err error) error {
	return fmt.Errorf("%s %s: %w", what, c.socket, err)
}

// explain makes an error of a request that had no answer.
func (c *Client) explain(what string, err error) error {
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "dial" {
		if request := (*url.Error)(nil); errors.As(err, &request) {
			err = request.Err
		}
		return c.failed(what, err)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("control socket %s: permission denied; be root, or a member of its group", c.socket)
	}
	return fmt.Errorf("%w on %s; start it with linkseal run --config FILE", ErrNoDaemon, c.socket)
}
