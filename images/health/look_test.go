package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot/slottest"
)

const text = `version: 1
name: ce-1
control: {socket: SOCKET}
keychains:
  link1: {source: file, path: /nowhere/keys.yaml}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
  - {name: link2, device: eth2, interface: macsec2, keychain: link1}
`

// machine is one with a configuration, and a daemon that says s; nil: none answers.
func machine(t *testing.T, s *status.Status) *health.Machine {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	config := filepath.Join(dir, "linkseal.yaml")
	if err := os.WriteFile(config, []byte(strings.Replace(text, "SOCKET", socket, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s != nil {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(s); err != nil {
				t.Error(err)
			}
		})}
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		t.Cleanup(func() { server.Close(); <-done })
	}
	return &health.Machine{Sys: t.TempDir(), Root: dir, Boot: part.Boot{Verity: "aa-bb"}, Config: config, State: filepath.Join(dir, "state"), Systemctl: units("", strings.Join(reached, " loaded active exited what it is\n"))}
}

// units is a systemctl that lists these.
func units(failed, active string) func(context.Context, ...string) (string, error) {
	return func(_ context.Context, args ...string) (string, error) {
		if slices.Contains(args, "--state=failed,auto-restart") {
			return failed, nil
		}
		return active, nil
	}
}

func TestLook(t *testing.T) {
	m := machine(t, &status.Status{
		Ports: []status.Port{{Name: "link1", State: status.Secured}, {Name: "link2", State: status.Unsecured, UnsecuredReason: "no peer is live"},
			{Name: "link3", State: status.Down, Problem: "no MACsec", UnsecuredReason: "no MACsec"}},
		Tunnels: []status.Tunnel{{Name: "hub1", State: status.Down, Problem: "no route"}},
	})
	f := m.Look(t.Context())
	if !f.Configured || f.Config != nil || f.Daemon != nil || f.Var != nil {
		t.Errorf("%+v", f)
	}
	if !slices.Equal(f.Ports, []string{"link1", "link2"}) || !slices.Equal(f.SecuredPorts, []string{"link1"}) || f.SecuredTunnels != nil {
		t.Errorf("%+v", f)
	}
	if f.Problems["port link2"] != "unsecured; no peer is live" || f.Problems["port link3"] != "down; no MACsec" || f.Problems["tunnel hub1"] != "down; no route" {
		t.Errorf("%q", f.Problems)
	}
	if left, err := os.ReadDir(m.State); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if !slices.Equal(f.MustPorts, []string{"link1", "link2"}) || !slices.Equal(f.Active, reached) || f.Failed != nil || f.Units != nil {
		t.Errorf("%+v", f)
	}
	m.Systemctl = units("x.mount loaded failed failed X\n"+health.Self+" loaded failed failed Y\n", "nftables.service loaded active exited Z\n")
	r, err := m.Before(t.Context())
	if err != nil || !r.Configured || !slices.Equal(r.Ports, []string{"link1"}) || len(r.Tunnels) != 0 || r.Time.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	if !slices.Equal(r.Failed, []string{"x.mount"}) || !slices.Equal(r.Active, reached[:1]) {
		t.Errorf("%+v", r)
	}
	m.Systemctl = func(context.Context, ...string) (string, error) { return "", errors.New("bus") }
	if r, err := m.Before(t.Context()); err == nil || !strings.Contains(err.Error(), "bus") {
		t.Errorf("units are not known: %+v, %v", r, err)
	}
}

func TestLookNoDaemon(t *testing.T) {
	m := machine(t, nil)
	if f := m.Look(t.Context()); !f.Configured || f.Daemon == nil || len(f.Ports) != 2 {
		t.Errorf("%+v", f)
	}
	if r, err := m.Before(t.Context()); err == nil || !strings.Contains(err.Error(), "systemctl start linkseal") {
		t.Errorf("nothing is known, and it is recorded: %+v, %v", r, err)
	}
	if err := os.Remove(m.Config); err != nil {
		t.Fatal(err)
	}
	if f := m.Look(t.Context()); f.Configured || f.Daemon != nil || f.Config != nil {
		t.Errorf("%+v", f)
	}
	if r, err := m.Before(t.Context()); err != nil || r.Configured {
		t.Errorf("without a configuration: %+v, %v", r, err)
	}
	if err := os.Mkdir(m.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if f := m.Look(t.Context()); !f.Configured || f.Config == nil {
		t.Errorf("%+v", f)
	}
	if r, err := m.Before(t.Context()); err == nil || !strings.Contains(err.Error(), "mend it first") {
		t.Errorf("of a configuration that cannot be read: %+v, %v", r, err)
	}
}

// Closed is what is filtered in both directions, and guarded; SSH is on where somebody
// may log in.
func TestLookEnforced(t *testing.T) {
	whole := status.Enforcement{Ingress: "native", Egress: "tcx", Guard: true}
	with := func(spoil func(*status.Enforcement)) *status.Enforcement {
		e := whole
		spoil(&e)
		return &e
	}
	m := machine(t, &status.Status{
		Ports: []status.Port{
			{Name: "link1", Enforcement: &whole}, {Name: "link2"},
			{Name: "in", Enforcement: with(func(e *status.Enforcement) { e.Ingress = "none" })},
			{Name: "out", Enforcement: with(func(e *status.Enforcement) { e.Egress = "none" })},
			{Name: "guard", Enforcement: with(func(e *status.Enforcement) { e.Guard = false })},
		},
		Tunnels: []status.Tunnel{{Name: "hub1", Enforcement: &whole}},
	})
	m.Keys = filepath.Join(t.TempDir(), "authorized_keys")
	for _, keys := range []string{"", "ssh-ed25519 AAAA"} {
		if err := os.WriteFile(m.Keys, []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		f := m.Look(t.Context())
		if want := []string{"port link1", "tunnel hub1"}; !slices.Equal(f.Enforced, want) || f.SSH != (keys != "") {
			t.Errorf("keys %q: closed %q, want %q; SSH %v", keys, f.Enforced, want, f.SSH)
		}
	}
	if r, err := m.Before(t.Context()); err != nil || !slices.Equal(r.Enforced, []string{"port link1", "tunnel hub1"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// The root has to be the verified device, of the hash tree that was signed.
func TestLookRoot(t *testing.T) {
	m := machine(t, nil)
	if f := m.Look(t.Context()); f.Root == nil || !strings.Contains(f.Root.Error(), "class/block") {
		t.Errorf("without sysfs: %v", f.Root)
	}
	s := slottest.Sys{T: t, Dir: m.Sys}
	s.Disk("vda", 253, "esp", "root-a", "root-a-verity", "root-b", "root-b-verity")
	s.Mapped("root", "CRYPT-VERITY-ccdd-root", "vda2")
	const dm = "devices/virtual/block/dm-0"
	s.Write(dm+"/uevent", "MAJOR=254\nMINOR=77\nDEVNAME=dm-0\n") // no device of this machine
	if f := m.Look(t.Context()); f.Root == nil || !strings.Contains(f.Root.Error(), "the kernel's command line names CRYPT-VERITY-aabb") {
		t.Errorf("another's hash tree: %v", f.Root)
	}
	s.Write(dm+"/dm/uuid", "CRYPT-VERITY-aabb-root\n")
	if f := m.Look(t.Context()); f.Root == nil || !strings.Contains(f.Root.Error(), "is not on /dev/mapper/root") {
		t.Errorf("another file system: %v", f.Root)
	}
}
