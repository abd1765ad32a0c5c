// Package strongswan talks to charon over its vici socket: commands, what is
// established, and what happens, typed. It knows no tunnel.
//
// Secrets do not pass through govici, whose messages are strings that stay in
// memory: see secret.go.
package strongswan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/strongswan/govici/vici"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/linux/peercred"
)

// Client is a connection to charon. It is safe for concurrent use.
type Client struct {
	*link
	until context.Context // nothing is asked after it; nil: always
}

// Until is the same connection for one who asks nothing after ctx, and waits for no
// answer longer.
func (c *Client) Until(ctx context.Context) *Client { return &Client{c.link, ctx} }

// Context is what Until was given.
func (c *Client) Context() context.Context {
	if c.until == nil {
		return context.Background()
	}
	return c.until
}

// link is what all share that use one connection.
type link struct {
	path string
	pid  int

	turn     chan struct{} // has a token while a command is under way: one at a time
	commands *vici.Session
	listed   chan vici.Event // of commands: what list-sas streams
	events   []*vici.Session
	happened chan vici.Event
}

const (
	patience = 10 * time.Second // for the answer to a command
	// backlog of events that nobody has read: more are lost.
	backlog = 4096
)

// SilentError is of a charon of root's that listens, and does not answer.
type SilentError struct {
	PID int
	Err error
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("charon (process %d) does not answer: %v", e.PID, e.Err)
}

func (e *SilentError) Unwrap() error { return e.Err }

// Dial connects to the socket at path.
func Dial(path string) (*Client, error) {
	c := &Client{link: &link{
		path: path, turn: make(chan struct{}, 1),
		happened: make(chan vici.Event, backlog), listed: make(chan vici.Event, maxSAs),
	}}
	var err error
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if u, ok := conn.(*net.UnixConn); ok {
			cred, err := peercred.Of(u)
			if err != nil {
				conn.Close()
				return nil, err
			}
			// It is given the PSKs.
			if cred.UID != 0 && int(cred.UID) != os.Geteuid() {
				conn.Close()
				return nil, fmt.Errorf("who listens is user %d's process %d, and no charon of root's; end it, and take its socket away", cred.UID, cred.PID)
			}
			c.pid = int(cred.PID)
		}
		return conn, nil
	}
	open := func() (s *vici.Session) {
		if err == nil {
			s, err = vici.NewSession(vici.WithSocketPath(path), vici.WithDialContext(dial))
		}
		return s
	}
	c.commands = open()
	if err == nil {
		// govici's own streaming now and then takes the answer before the last
		// event, and then the event for the next answer.
		c.commands.NotifyEvents(c.listed)
		err = c.commands.Subscribe("list-sa")
	}
	var streams []chan vici.Event
	for _, event := range []string{"log", "ike-updown", "child-updown", "ike-rekey", "child-rekey"} {
		// One a session: govici does not read on while it subscribes, and an
		// event that is subscribed already would have it wait for ever.
		if s := open(); s != nil {
			stream := make(chan vici.Event, backlog)
			c.events, streams = append(c.events, s), append(streams, stream)
			s.NotifyEvents(stream)
			err = s.Subscribe(event)
		}
	}
	if err != nil {
		c.Close()
		if err = fmt.Errorf("charon at %s: %w", path, err); c.pid != 0 {
			err = &SilentError{PID: c.pid, Err: err}
		}
		return nil, err
	}
	go c.merge(streams)
	return c, nil
}

// merge hands on events of all streams until one ends, with the connection.
func (c *Client) merge(streams []chan vici.Event) {
	var all sync.WaitGroup
	over := make(chan struct{})
	var once sync.Once
	for _, s := range streams {
		all.Go(func() {
			defer once.Do(func() { close(over) })
			for e := range s {
				select {
				case c.happened <- e:
				case <-over:
					return
				}
			}
		})
	}
	<-over
	c.Close()
	all.Wait()
	close(c.happened)
}

// PID is charon's process, as it was when it began to listen.
func (c *Client) PID() int { return c.pid }

// Events are what happens in charon. The channel is closed with the
// connection.
func (c *Client) Events() <-chan vici.Event { return c.happened }

// Close ends the connection; charon goes on.
func (c *Client) Close() {
	for _, s := range append([]*vici.Session{c.commands}, c.events...) {
		if s != nil {
			s.Close()
		}
	}
}

// patient is the time that an answer may take.
func (c *Client) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context(), patience)
}

// begin waits for the turn of a command, which has it until done.
func (c *Client) begin() (ctx context.Context, done func(), err error) {
	ctx, cancel := c.patient()
	select {
	case c.turn <- struct{}{}:
		done = func() { <-c.turn; cancel() }
		if err = ctx.Err(); err != nil {
			done()
		}
	case <-ctx.Done():
		err = ctx.Err()
		cancel()
	}
	return ctx, done, err
}

// call is one command.
func (c *Client) call(command string, in conn.Section) (*vici.Message, error) {
	m, err := message(in)
	if err != nil {
		return nil, fmt.Errorf("charon: %s: %w", command, err)
	}
	ctx, done, err := c.begin()
	if err != nil {
		return nil, fmt.Errorf("charon: %s: %w", command, err)
	}
	defer done()
	out, err := c.commands.Call(ctx, command, m)
	if err != nil {
		return out, fmt.Errorf("charon: %s: %w", command, err)
	}
	return out, nil
}

// LoadConnection adds the connections in s, or replaces those of their names.
func (c *Client) LoadConnection(s conn.Section) error {
	_, err := c.call("load-conn", s)
	return err
}

// UnloadConnection forgets the connection; its SAs live on.
func (c *Client) UnloadConnection(name string) error {
	_, err := c.call("unload-conn", conn.Section{{Key: "name", Value: conn.Text(name)}})
	return err
}

// Connections are the names of those that are loaded.
func (c *Client) Connections() ([]string, error) { return c.names("get-conns", "conns") }

// Secrets are the ids of the PSKs that are loaded, the last loaded first.
func (c *Client) Secrets() ([]string, error) { return c.names("get-shared", "keys") }

// Keys are the ids of the private keys that are loaded.
func (c *Client) Keys() ([]string, error) { return c.names("get-keys", "keys") }

func (c *Client) names(command, key string) ([]string, error) {
	out, err := c.call(command, nil)
	if err != nil {
		return nil, err
	}
	list, _ := out.Get(key).([]string)
	return list, nil
}

// UnloadSecret forgets a PSK.
func (c *Client) UnloadSecret(id string) error {
	_, err := c.call("unload-shared", conn.Section{{Key: "id", Value: conn.Text(id)}})
	return err
}

// UnloadKey forgets a private key.
func (c *Client) UnloadKey(id string) error {
	_, err := c.call("unload-key", conn.Section{{Key: "id", Value: conn.Text(id)}})
	return err
}

// Initiate starts to establish the CHILD_SA of a connection, with an IKE_SA of its
// own whatever is there (reuse_ikesa = no), and does not wait.
func (c *Client) Initiate(connection, child string) error {
	_, err := c.call("initiate", conn.Section{
		{Key: "child", Value: conn.Text(child)}, {Key: "ike", Value: conn.Text(connection)}, {Key: "timeout", Value: conn.Text("-1")},
	})
	return err
}

// RekeyChild renews the keys of a CHILD_SA.
func (c *Client) RekeyChild(id uint32) error {
	_, err := c.call("rekey", conn.Section{{Key: "child-id", Value: text(id)}})
	return err
}

// TerminateID ends the IKE_SA of that id: it tells the peer and does not wait
// for it.
func (c *Client) TerminateID(id uint32) error { return c.terminate(id, true) }

// Part begins to end the IKE_SA of that id, which is there until the peer has
// answered. It does not wait for that.
func (c *Client) Part(id uint32) error { return c.terminate(id, false) }

func (c *Client) terminate(id uint32, force bool) error {
	in := conn.Section{{Key: "ike-id", Value: text(id)}, {Key: "timeout", Value: conn.Text("-1")}}
	if force {
		in = append(in, conn.Item{Key: "force", Value: conn.Text("yes")})
	}
	out, err := c.call("terminate", in)
	if err != nil && out != nil && out.Get("matches") == "0" {
		return nil // there is none
	}
	return err
}

// Version is what charon calls itself.
func (c *Client) Version() (string, error) {
	out, err := c.call("version", nil)
	if err != nil {
		return "", err
	}
	v, _ := out.Get("version").(string)
	return v, nil
}

// Plugins are those that charon has loaded.
func (c *Client) Plugins() ([]string, error) { return c.names("stats", "plugins") }

// errShape is a message that is not as vici's README has it.
var errShape = errors.New("not what vici says")

// message is in as govici has it.
func message(in conn.Section) (*vici.Message, error) {
	m := vici.NewMessage()
	for _, i := range in {
		var v any
		switch of := i.Value.(type) {
		case conn.Text:
			v = string(of)
		case conn.List:
			v = []string(of)
		case conn.Section:
			below, err := message(of)
			if err != nil {
				return nil, err
			}
			v = below
		}
		if err := m.Set(i.Key, v); err != nil {
			return nil, fmt.Errorf("%s: %w", i.Key, err)
		}
	}
	return m, nil
}

func text(id uint32) conn.Text { return conn.Text(fmt.Sprint(id)) }
