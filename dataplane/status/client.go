package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// DefaultSocket is the control socket's path where the configuration names
// none.
const DefaultSocket = "/run/linkseal/linkseal.sock"

// ErrNoDaemon says that nothing answers on the control socket.
var ErrNoDaemon = errors.New("no daemon answers")

// maxDocument bounds what is read of an answer: some 10,000 ports.
const maxDocument = 64 << 20

// Client asks a running daemon.
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
	return &Client{socket: path, http: http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
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
		return Status{}, fmt.Errorf("status from %s: %w", c.socket, err)
	}
	return s, nil
}

// Document is Status as the daemon wrote it, fields that this version does
// not know included.
func (c *Client) Document(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://linkseal/v1/status", nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("status from %s: %w", c.socket, err)
	case len(body) > maxDocument:
		return nil, fmt.Errorf("status from %s: more than %d octets; is it linkseal's socket?", c.socket, maxDocument)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status from %s: %s; is it linkseal's socket?", c.socket, answer.Status)
	}
	return body, nil
}

func (c *Client) explain(err error) error {
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "dial" {
		return fmt.Errorf("status from %s: %w", c.socket, err)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("control socket %s: permission denied; be root, or a member of its group", c.socket)
	}
	return fmt.Errorf("%w on %s; start it with linkseal run --config FILE", ErrNoDaemon, c.socket)
}
