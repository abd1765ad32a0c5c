package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Shell runs commands on a machine as root over SSH. The host key that the first
// connection brings is the only one taken afterwards: it must outlive reboots and
// power cuts.
type Shell struct {
	machine *Machine
	signer  ssh.Signer
	host    ssh.PublicKey
	client  *ssh.Client
}

// Shell returns one that logs in with that key.
func (m *Machine) Shell(signer ssh.Signer) *Shell { return &Shell{machine: m, signer: signer} }

// Again is another connection to the same machine, which knows its host key.
func (s *Shell) Again() *Shell { return &Shell{machine: s.machine, signer: s.signer, host: s.host} }

// errHostKey ends the attempts to connect: waiting does not mend it.
var errHostKey = errors.New("the host key is another than before")

// Connect tries until the machine lets us in, or ctx ends.
func (s *Shell) Connect(ctx context.Context) error {
	s.Close()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.dial(ctx)
		if err == nil || errors.Is(err, errHostKey) {
			return err
		}
		if !s.machine.Running() {
			return fmt.Errorf("ssh: %s has no power: %w", s.machine.Name, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("ssh: %w: %w", context.Cause(ctx), err)
		}
	}
}

func (s *Shell) dial(ctx context.Context) error {
	address := "127.0.0.1:" + strconv.Itoa(s.machine.ssh)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	// Whoever forwards the port takes the connection before the guest does.
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "root",
		Auth: []ssh.AuthMethod{ssh.PublicKeys(s.signer)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if s.host != nil && !bytes.Equal(s.host.Marshal(), key.Marshal()) {
				return errHostKey
			}
			s.host = key
			return nil
		},
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		conn.Close()
		return err
	}
	conn.SetDeadline(time.Time{})
	s.client = ssh.NewClient(c, channels, requests)
	return nil
}

// Close ends the connection.
func (s *Shell) Close() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Failed is a command that ended with another status than 0.
type Failed struct {
	Command        string
	Status         int
	Stdout, Stderr string
}

func (f *Failed) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", f.Command, f.Status, strings.TrimSpace(f.Stdout+"\n"+f.Stderr))
}

// Run runs a command of the shell and returns what it printed. A command that
// failed is a *Failed; whatever else goes wrong is the connection.
func (s *Shell) Run(ctx context.Context, command string) (string, error) {
	return s.Feed(ctx, nil, command)
}

// Feed runs a command with that input.
func (s *Shell) Feed(ctx context.Context, in io.Reader, command string) (string, error) {
	if s.client == nil {
		if err := s.Connect(ctx); err != nil {
			return "", err
		}
	}
	session, err := s.client.NewSession()
	if err != nil {
		s.Close()
		return "", err
	}
	defer session.Close()
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = in, &stdout, &stderr
	// A cut machine does not answer any more.
	client := s.client
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	err = session.Run(command)
	exit := (*ssh.ExitError)(nil)
	switch {
	case errors.As(err, &exit):
		return stdout.String(), &Failed{command, exit.ExitStatus(), stdout.String(), stderr.String()}
	case err != nil:
		s.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return stdout.String(), fmt.Errorf("%s: %w", command, err)
	}
	return stdout.String(), nil
}
