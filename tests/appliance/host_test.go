package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/appliance/qemu"
)

// patience is how long what takes a machine seconds may take an emulated one on a
// busy host. All waits end when what they wait for is there.
const patience = 20 * time.Minute

// host is one appliance and a way in.
type host struct {
	*qemu.Machine
	*qemu.Shell
	t    *testing.T
	mark int // of the console, at the last start
}

// host makes one with a disk of its own over the image's. It has no power yet.
func (i *image) host(t *testing.T, name string, media ...qemu.Medium) *host {
	t.Helper()
	path := filepath.Join(i.trial, name+".qcow2")
	disk, err := qemu.Overlay(i.raw, "raw", path, diskSize)
	check(t, err)
	t.Cleanup(func() {
		if !t.Failed() {
			os.Remove(path)
		}
	})
	return i.hostOn(t, name, disk, media...)
}

// hostOn makes one with that disk, and with the cards that a site's configuration
// names; nobody is at the far ends of their cables.
func (i *image) hostOn(t *testing.T, name, disk string, media ...qemu.Medium) *host {
	t.Helper()
	vars := filepath.Join(i.trial, name+".vars.fd")
	check(t, qemu.CopyVars(i.vars, vars))
	link, _ := cable(t, i.trial, name+"-link")
	underlay, _ := cable(t, i.trial, name+"-underlay")
	m := &qemu.Machine{Name: name, Dir: i.trial, Disk: disk, Vars: vars, Media: media, Cables: []*qemu.End{link, underlay}}
	h := &host{Machine: m, Shell: m.Shell(i.signer), t: t}
	t.Cleanup(func() {
		h.Close()
		h.Cut()
		if t.Failed() {
			t.Logf("%s's console at the end (all of it: %s):\n%s", name, filepath.Join(i.trial, name+".console"), m.Console().Tail(25))
		}
	})
	return h
}

// cable is there for as long as the test.
func cable(t *testing.T, dir, name string) (a, b *qemu.End) {
	t.Helper()
	a, b, err := qemu.NewCable(t.Context(), dir, name)
	check(t, err)
	return a, b
}

func (h *host) on() {
	h.t.Helper()
	h.mark = h.Console().Mark()
	check(h.t, h.On())
}

// off presses the power button.
func (h *host) off() {
	h.t.Helper()
	ctx, cancel := within(h.t, patience)
	defer cancel()
	h.Close()
	check(h.t, h.Off(ctx))
}

// within is the test's context with a deadline of its own.
func within(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %s", d))
}

// says waits until the console says one of the patterns since the last start,
// and returns the line and which it was.
func (h *host) says(d time.Duration, patterns ...string) (qemu.Line, int) {
	h.t.Helper()
	return h.saysFrom(h.mark, d, patterns...)
}

func (h *host) saysFrom(mark int, d time.Duration, patterns ...string) (qemu.Line, int) {
	h.t.Helper()
	var all []*regexp.Regexp
	for _, p := range patterns {
		all = append(all, regexp.MustCompile(p))
	}
	ctx, cancel := within(h.t, d)
	defer cancel()
	line, which, err := h.Console().Wait(ctx, mark, all...)
	if err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
	return line, which
}

// run runs a command and ends the test if it fails.
func (h *host) run(command string) string {
	h.t.Helper()
	return h.feed("", command)
}

// feed runs a command with that input.
func (h *host) feed(input, command string) string {
	h.t.Helper()
	ctx, cancel := within(h.t, patience)
	defer cancel()
	out, err := h.Feed(ctx, strings.NewReader(input), command)
	if err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
	return out
}

// put has a file replaced, in one rename, by one that only its owner reads.
func (h *host) put(path, text string) {
	h.t.Helper()
	h.feed(text, "umask 077; cat >"+path+".new && mv "+path+".new "+path)
}

// noneFailed demands that no unit has.
func (h *host) noneFailed() {
	h.t.Helper()
	if failed := strings.TrimSpace(h.run("systemctl list-units --failed --no-legend --plain")); failed != "" {
		h.t.Errorf("%s: units that failed:\n%s", h.Name, failed)
	}
}

// long is run with more time.
func (h *host) long(d time.Duration, command string) string {
	h.t.Helper()
	ctx, cancel := within(h.t, d)
	defer cancel()
	out, err := h.Run(ctx, command)
	if err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
	return out
}

// refused runs a command that is to fail and returns what it said.
func (h *host) refused(command string) string {
	h.t.Helper()
	ctx, cancel := within(h.t, patience)
	defer cancel()
	out, err := h.Run(ctx, command)
	failed := (*qemu.Failed)(nil)
	if !errors.As(err, &failed) {
		h.t.Fatalf("%s: %s: %v; want a refusal; it said: %s", h.Name, command, err, out)
	}
	return failed.Stdout + failed.Stderr
}

// await asks again and again until ok has no error.
func (h *host) await(what string, d time.Duration, ok func(context.Context) error) {
	h.t.Helper()
	ctx, cancel := within(h.t, d)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		if !h.Running() {
			h.t.Fatalf("%s: %s: it has no power any more: %v", h.Name, what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("%s: %s: %v: %v", h.Name, what, context.Cause(ctx), err)
		}
	}
}

// status is what the daemon says.
func (h *host) status(ctx context.Context) (*status.Status, error) {
	out, err := h.Run(ctx, "linkseal status --json")
	if err != nil {
		return nil, err
	}
	s := new(status.Status)
	return s, json.Unmarshal([]byte(out), s)
}

// secured waits until all ports are secured and all members of tunnels live, and
// what keeps them so stands.
func (h *host) secured() *status.Status {
	h.t.Helper()
	var last *status.Status
	h.await("all links secured", patience, func(ctx context.Context) error {
		s, err := h.status(ctx)
		if err != nil {
			return err
		}
		last = s
		return errors.Join(links(s), stands(s))
	})
	return last
}

// links tells what is not secured or live.
func links(s *status.Status) error {
	if len(s.Ports)+len(s.Tunnels) == 0 {
		return errors.New("no port and no tunnel is configured")
	}
	for _, p := range s.Ports {
		if p.State != status.Secured {
			return fmt.Errorf("port %s is %s: %s %s", p.Name, p.State, p.UnsecuredReason, p.Problem)
		}
	}
	for _, x := range s.Tunnels {
		for _, m := range x.Members {
			if !m.Live {
				return fmt.Errorf("tunnel %s is %s, member %d not live: %s %s", x.Name, x.State, m.N, x.Problem, m.Problem)
			}
		}
	}
	return nil
}

// stands tells what the unit's hardening, say, keeps the daemon from: a link is
// secured without it too, and is not as tight.
func stands(s *status.Status) (err error) {
	enforced := func(what, name, secure string, e *status.Enforcement) {
		switch {
		case secure != "must":
		case e == nil:
			err = errors.Join(err, fmt.Errorf("%s %s: nothing is known of its filter", what, name))
		case !e.Guard || e.Ingress == "none" || e.Egress == "none":
			err = errors.Join(err, fmt.Errorf("%s %s is not closed: %s", what, name, e))
		}
	}
	for _, p := range s.Ports {
		enforced("port", p.Name, p.Secure, p.Enforcement)
	}
	for _, x := range s.Tunnels {
		enforced("tunnel", x.Name, x.Secure, x.Enforcement)
	}
	if s.ClockHeld != nil {
		err = errors.Join(err, fmt.Errorf("the clock is held at %s", s.ClockHeld.Format(time.RFC3339)))
	}
	if s.Memory == nil || s.Memory.Problem != "" {
		err = errors.Join(err, fmt.Errorf("keys in memory: %+v", s.Memory))
	}
	return err
}
