package wire

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	protocol = "2012-11-30"
	agent    = "linkseal"
	// answer is how long one request may take, and most what is read of it.
	answer = 10 * time.Second
	most   = 64 << 10
)

// goalState is what is needed of it.
type goalState struct {
	XMLName     xml.Name `xml:"GoalState"`
	Incarnation string   `xml:"Incarnation"`
	Container   string   `xml:"Container>ContainerId"`
	Instances   []string `xml:"Container>RoleInstanceList>RoleInstance>InstanceId"`
}

// health is the report.
type health struct {
	XMLName     xml.Name `xml:"Health"`
	Incarnation string   `xml:"GoalStateIncarnation"`
	Container   string   `xml:"Container>ContainerId"`
	Instance    string   `xml:"Container>RoleInstanceList>Role>InstanceId"`
	State       string   `xml:"Container>RoleInstanceList>Role>Health>State"`
	Details     *details `xml:"Container>RoleInstanceList>Role>Health>Details"`
}

type details struct {
	SubStatus   string
	Description string
}

// Client speaks to a wire server.
type Client struct {
	base string
	http http.Client
}

// NewClient returns a Client that goes by way.
func NewClient(way Way) *Client {
	return newClient("http://"+way.Server.String(), &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		name, err := net.InterfaceByIndex(way.Interface)
		if err != nil {
			return err
		}
		var bound error
		if err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), name.Name) }); err != nil {
			return err
		}
		return bound
	}})
}

func newClient(base string, d *net.Dialer) *Client {
	return &Client{base: base, http: http.Client{
		Timeout: answer,
		// No proxy: the platform is on this machine's own host.
		Transport:     &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: most},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Report says that the machine is ready, or with failed that it could not be
// provisioned, and why.
func (c *Client) Report(ctx context.Context, failed string) error {
	text, err := c.send(ctx, http.MethodGet, "goalstate", nil)
	if err != nil {
		return err
	}
	goal, err := parseGoal(text)
	if err != nil {
		return err
	}
	report := health{Incarnation: goal.Incarnation, Container: goal.Container, Instance: goal.Instances[0], State: "Ready"}
	if failed != "" {
		const long = 512
		if len(failed) > long {
			failed = strings.ToValidUTF8(failed[:long], "")
		}
		report.State, report.Details = "NotReady", &details{"ProvisioningFailed", failed}
	}
	body, err := xml.Marshal(report)
	if err != nil {
		return err
	}
	_, err = c.send(ctx, http.MethodPost, "health", append([]byte(xml.Header), body...))
	return err
}

// form is what identifiers of the platform are made of.
var form = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,256}$`)

func parseGoal(text []byte) (g goalState, err error) {
	if err := xml.Unmarshal(text, &g); err != nil {
		return g, errors.New("the wire server's goal state is not what it documents")
	}
	if len(g.Instances) == 0 {
		return g, errors.New("the wire server's goal state has no role instance")
	}
	for _, id := range []string{g.Incarnation, g.Container, g.Instances[0]} {
		if !form.MatchString(id) {
			return g, errors.New("the wire server's goal state has an identifier that is none")
		}
	}
	return g, nil
}

func (c *Client) send(ctx context.Context, method, component string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/machine?comp="+component, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("x-ms-version", protocol)
	request.Header.Set("x-ms-agent-name", agent)
	if body != nil {
		request.Header.Set("Content-Type", "text/xml;charset=utf-8")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s from the wire server: %w", component, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s from the wire server: %w", component, err)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, fmt.Errorf("%s: the wire server answers %s", component, response.Status)
	case len(text) > most:
		return nil, fmt.Errorf("%s: the wire server answers with more than %d octets", component, most)
	}
	return text, nil
}

// Until tries until it succeeds or ctx ends, wait apart; log is told of each error
// that is not the one before.
func Until(ctx context.Context, wait time.Duration, try func(context.Context) error, log func(error)) error {
	last := ""
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if err.Error() != last {
			last = err.Error()
			log(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("given up: %w", err)
		case <-time.After(wait):
		}
	}
}
