package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/lab"
)

// supplicant is wpa_supplicant 2.10 with the macsec_linux driver, in the
// namespace of an appliance that does not run linkseal.
type supplicant struct {
	*lab.Appliance
	conf, log string
	preload   string // a library
	cmd       *exec.Cmd
	exited    chan struct{}
}

// peerConf are the lines of a supplicant's network block that differ.
type peerConf struct {
	key      lab.Key
	priority int
	extra    []string
}

// newSupplicant prepares the appliance's namespace.
func newSupplicant(t *testing.T, a *lab.Appliance) *supplicant {
	t.Helper()
	probetest.Need(t, probe.MACsec, probe.MACsecGCM)
	probetest.NeedTool(t, "wpa_supplicant", "ip")
	s := &supplicant{Appliance: a, conf: filepath.Join(a.Dir, "wpa.conf"), log: filepath.Join(a.Dir, "wpa.log")}
	t.Cleanup(func() {
		if t.Failed() {
			if text, err := os.ReadFile(s.log); err == nil {
				lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return strings.Contains(l, "EAPOL") || strings.Contains(l, "l2_packet") })
				t.Logf("the first and last of %s's log:\n%s\n...\n%s", a.Name, strings.Join(lines[:min(len(lines), 150)], "\n"), strings.Join(lines[max(0, len(lines)-100):], "\n"))
			}
		}
		s.stop(t)
	})
	return s
}

func (s *supplicant) write(t *testing.T, c peerConf) {
	t.Helper()
	var b strings.Builder
	b.WriteString("eapol_version=3\nap_scan=0\nnetwork={\n key_mgmt=NONE\n eapol_flags=0\n macsec_policy=1\n")
	fmt.Fprintf(&b, " mka_cak=%s\n mka_ckn=%s\n mka_priority=%d\n", c.key.CAK, c.key.CKN, c.priority)
	for _, e := range c.extra {
		fmt.Fprintf(&b, " %s\n", e)
	}
	b.WriteString("}\n")
	check(t, os.WriteFile(s.conf, []byte(b.String()), 0o600))
}

// createDevice256 makes the MACsec device for the supplicant to find, which
// never sets a cipher suite itself, and lets it find one of GCM-AES-256, which
// libnl keeps from it: see testdata/find256.c.
func (s *supplicant) createDevice256(t *testing.T) {
	t.Helper()
	probetest.NeedTool(t, "gcc")
	library := filepath.Join(s.Dir, "find256.so")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", library, "testdata/find256.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	s.preload = library
	out, err := s.NS.Command("ip", "link", "add", "link", lab.Device, "macsec0", "type", "macsec", "port", "1", "cipher", "gcm-aes-256").CombinedOutput()
	if err != nil {
		t.Fatalf("ip link add macsec0: %v: %s", err, out)
	}
}

// launch starts the process and returns at once.
func (s *supplicant) launch(t *testing.T) {
	t.Helper()
	cmd := s.NS.Command("wpa_supplicant", "-i", lab.Device, "-D", "macsec_linux", "-c", s.conf, "-f", s.log, "-ddt")
	if s.preload != "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+s.preload)
	}
	check(t, cmd.Start())
	s.cmd, s.exited = cmd.Cmd, make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { c.Wait(); close(done) }(s.cmd, s.exited)
}

// ready waits for the supplicant's MACsec device, gives it the appliance's
// address, and sets it up: an operator's part, since it has none itself.
func (s *supplicant) ready(t *testing.T) {
	t.Helper()
	eventually(t, s.Name+"'s MACsec device", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("wpa_supplicant at %s ended", s.Name)
		default:
		}
		return s.address() == nil
	})
}

func (s *supplicant) address() error {
	return s.NS.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Type() != "macsec" {
				continue
			}
			addr, err := netlink.ParseAddr(s.Address.String())
			if err != nil {
				return err
			}
			return errors.Join(netlink.AddrReplace(l, addr), netlink.LinkSetUp(l))
		}
		return errNoDevice
	})
}

func (s *supplicant) start(t *testing.T) {
	t.Helper()
	s.launch(t)
	s.ready(t)
}

// stop ends the process by its id. One that does not run is no error.
func (s *supplicant) stop(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.cmd.Process.Kill()
		<-s.exited
		t.Errorf("wpa_supplicant at %s did not end within 20 s of SIGTERM", s.Name)
	}
	s.cmd = nil
}
