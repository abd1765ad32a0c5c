package ipsec

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// wire is two namespaces with a veth between them: one of which is
// ours and the other the stock strongSwan's.
type wire struct {
	t           *testing.T
	ours, stock *netns.NS
	our, their  string        // addresses
	userspace   bool          // kernel-libipsec does ESP at both ends; in the guest the kernel does
	far         string        // the stock strongSwan's interface
	proof       time.Duration // of Options; 0: as it is
}

// theirID is the if_id of the stock strongSwan's XFRM interface.
const theirID = 7

func (w *wire) xfrmi(ns *netns.NS, name string, id uint32) {
	w.t.Helper()
	w.run(ns, "ip", "link", "add", name, "type", "xfrm", "dev", "eth1", "if_id", fmt.Sprint(id))
	w.run(ns, "ip", "link", "set", name, "up")
}

const (
	lowAddr   = "10.9.0.1"
	highAddr  = "10.9.0.2"
	ourInner  = "10.81.1.1" // ours inside the tunnel
	peerInner = "10.81.2.1"
)

// newWire makes a wire on which we have the first word; swapped the stock
// strongSwan has it.
func newWire(t *testing.T, swapped ...bool) *wire {
	t.Helper()
	if len(swapped) > 0 && swapped[0] {
		return newWireOver(t, highAddr, lowAddr)
	}
	return newWireOver(t, lowAddr, highAddr)
}

// The addresses of an underlay of IPv6.
const (
	lowSix  = "fd00:9::1"
	highSix = "fd00:9::2"
)

// newWireOver is newWire with the addresses of the underlay: the lesser has the
// first word.
func newWireOver(t *testing.T, our, their string) *wire {
	t.Helper()
	probetest.Need(t, probe.NetNS)
	probetest.NeedTool(t, "ip", "swanctl")
	if !probetest.InGuest() {
		t.Parallel() // they wait more than they do
	}
	if _, err := Program(); err != nil {
		t.Skip(err)
	}
	w := &wire{t: t, our: our, their: their, userspace: !probetest.InGuest(), far: "ipsec0"}
	for _, ns := range []**netns.NS{&w.ours, &w.stock} {
		n, err := netns.New("")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		*ns = n
	}
	w.run(w.ours, "ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", w.stock.Path())
	for _, e := range []struct {
		ns           *netns.NS
		outer, inner string
	}{{w.ours, w.our, ourInner}, {w.stock, w.their, peerInner}} {
		w.run(e.ns, "ip", "link", "set", "lo", "up")
		w.run(e.ns, "ip", "link", "set", "eth1", "up")
		if strings.Contains(e.outer, ":") {
			w.run(e.ns, "ip", "address", "add", e.outer+"/64", "dev", "eth1", "nodad")
		} else {
			w.run(e.ns, "ip", "address", "add", e.outer+"/24", "dev", "eth1")
		}
		w.run(e.ns, "ip", "address", "add", e.inner+"/32", "dev", "lo")
	}
	if !w.userspace {
		probetest.Need(t, probe.XFRM, probe.XFRMI)
		w.far = "xfrm0"
		w.xfrmi(w.ours, "ipsec-hub1", overlay.IfID("hub1", 0))
		w.xfrmi(w.stock, w.far, theirID)
	}
	return w
}

// run runs a command in ns, which must not fail.
func (w *wire) run(ns *netns.NS, name string, args ...string) string {
	w.t.Helper()
	out, err := ns.Command(name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// peer is a strongSwan that knows nothing of linkseal: its own charon, set up
// with swanctl alone.
type peer struct {
	w   *wire
	dir string
	cmd *netns.Cmd
}

// shortDir is a temporary directory whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ike")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *wire) peer() *peer {
	w.t.Helper()
	p := &peer{w: w, dir: shortDir(w.t)}
	load := "random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints hmac kdf sha1 sha2 aes gcm md5 "
	if w.userspace {
		load += "kernel-libipsec "
	}
	conf := fmt.Sprintf(`charon-systemd {
  load = %s kernel-netlink socket-default vici
  install_routes = no
  make_before_break = yes
  routing_table = 300
  block_threshold = 200
  retransmit_timeout = 1
  retransmit_base = 1
  retransmit_tries = 3
  cookie_threshold_ip = 100
  plugins {
    vici { 
      socket = unix://%s/vici 
    }
    kernel-libipsec { 
      load = %v 
      allow_peer_ts = yes
    }
    kernel-netlink { 
      fwmark = 0x99 
    }
  }
  filelog { 
    log {
      path = %s/log
      flush_line = yes
    }
  }
}
`, load, p.dir, map[bool]string{true: "yes", false: "no"}[w.userspace], p.dir)
	if err := os.WriteFile(filepath.Join(p.dir, "strongswan.conf"), []byte(conf), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p.start()
	w.t.Cleanup(p.stop)
	return p
}

func (p *peer) start() {
	p.w.t.Helper()
	p.cmd = p.w.stock.Command("/usr/sbin/charon-systemd")
	p.cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(p.dir, "strongswan.conf"))
	if err := p.cmd.Start(); err != nil {
		p.w.t.Fatal(err)
	}
	waitFor(p.w.t, 20*time.Second, "the stock charon listens", func() bool {
		c, err := net.Dial("unix", filepath.Join(p.dir, "vici"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if p.w.userspace {
		p.deepen()
	}
}

// deepen gives the other end too what a machine with a processor for each would
// not need: what it has no room for would be taken for our loss.
func (p *peer) deepen() {
	pid := p.cmd.Process.Pid
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		err = deepen(fd, pid)
		unix.Close(fd)
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *peer) stop() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGKILL)
	p.cmd.Wait()
	p.cmd = nil
	if p.w.t.Failed() {
		b, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		p.w.t.Logf("the stock strongSwan's log:\n%s", b[max(0, len(b)-8000):])
	}
}

// swanctl runs swanctl against the peer.
func (p *peer) swanctl(args ...string) (string, error) {
	cmd := exec.CommandContext(p.w.t.Context(), "timeout", append([]string{"60", "swanctl"}, append(args, "--uri", "unix://"+filepath.Join(p.dir, "vici"))...)...)
	cmd.Env = append(os.Environ(), "SWANCTL_DIR="+p.dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// setup has the settings of a stock strongSwan; empty: Azure's.
type setup struct {
	name             string // of the connection and its child; empty: t0
	local, remote    string // identities
	ike, esp         string
	localTS, remTS   string
	mode             string
	secrets          []string // the last is its own
	child, more      string   // further lines of the child, of the connection
	auth             string   // psk
	cert, key, ca    string   // paths, with auth pubkey
	localAuth, rAuth string   // further lines of local and remote
}

// load gives the peer its connection, t0, and secrets.
func (p *peer) load(s setup) {
	p.w.t.Helper()
	var b bytes.Buffer
	auth := or(s.auth, "psk")
	name := or(s.name, "t0")
	fmt.Fprintf(&b, `connections {
  %s {
    version = 2
    local_addrs = %s
    remote_addrs = %s
    proposals = %s
    mobike = no
    %s
    local {
      auth = %s
      id = %s
      %s
    }
    remote {
      auth = %s
      id = %s
      %s
    }
    children {
      %s {
        esp_proposals = %s
        mode = %s
`, name, p.w.their, p.w.our, or(s.ike, "aes256gcm16-prfsha384-ecp384"), s.more,
		auth, or(s.local, p.w.their), s.localAuth, auth, or(s.remote, p.w.our), s.rAuth,
		name, or(s.esp, "aes256gcm16-ecp384"), or(s.mode, "tunnel"))
	if s.mode != "transport" {
		fmt.Fprintf(&b, "        local_ts = %s\n        remote_ts = %s\n", or(s.localTS, "0.0.0.0/0"), or(s.remTS, "0.0.0.0/0"))
	}
	if !p.w.userspace && s.mode != "transport" {
		fmt.Fprintf(&b, "        if_id_in = %d\n        if_id_out = %d\n", theirID, theirID)
	}
	fmt.Fprintf(&b, "        %s\n      }\n    }\n  }\n}\nsecrets {\n", s.child)
	for i, secret := range s.secrets {
		fmt.Fprintf(&b, "  ike%d {\n    secret = %q\n  }\n", i, secret)
	}
	b.WriteString("}\n")
	path := filepath.Join(p.dir, "swanctl.conf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		p.w.t.Fatal(err)
	}
	private := filepath.Join(p.dir, "private")
	os.RemoveAll(private)
	if s.key != "" {
		key, err := os.ReadFile(s.key)
		if err == nil {
			err = os.Mkdir(private, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(private, "key"), key, 0o600)
		}
		if err != nil {
			p.w.t.Fatal(err)
		}
	}
	for _, what := range []string{"--load-creds", "--load-conns"} {
		args := []string{what, "--file", path}
		if what == "--load-creds" {
			args = append(args, "--clear", "--noprompt")
		}
		if out, err := p.swanctl(args...); err != nil {
			p.w.t.Fatalf("swanctl %s: %v\n%s", what, err, out)
		}
	}
}

// waitFor waits for a condition.
func waitFor(t *testing.T, patience time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// zombie tells whether a process has ended and nobody has asked for it.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}
