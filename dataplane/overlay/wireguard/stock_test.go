package wireguard

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// wireguardGo is stock wireguard-go, of the version in go.mod: make's, else built
// here.
var wireguardGo = sync.OnceValues(func() (string, error) {
	if path, err := filepath.Abs("../../../bin/wireguard-go"); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "linkseal", "wireguard-go")
	if out, err := exec.Command("go", "build", "-o", path, "golang.zx2c4.com/wireguard").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build wireguard-go: %w\n%s", err, out)
	}
	return path, nil
})

// foreign makes this end somebody else's, set with wg alone: stock wireguard-go,
// or the kernel's.
func (h *end) foreign(t testing.TB, k kind) {
	t.Helper()
	probetest.NeedTool(t, "wg")
	if k.userspace {
		h.startStock(t)
	} else {
		h.run(t, "ip", "link", "add", h.device, "type", "wireguard")
	}
	h.wg(t, "listen-port", fmt.Sprint(port), "private-key", h.keyFile, "peer", h.other.public.String(),
		"endpoint", fmt.Sprintf("[%s]:%d", h.other.underlay(), port), "allowed-ips", h.inner.Masked().String())
	h.dress(t, h.device)
}

func (h *end) startStock(t testing.TB) {
	t.Helper()
	binary, err := wireguardGo()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := h.ns.Command(binary, "-f", h.device)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	await(t, "wireguard-go's socket", 20*time.Second, func() bool {
		select {
		case <-ended:
			t.Fatalf("wireguard-go ended: %s", said.String())
		default:
		}
		// One that does not listen yet wg would take for a dead one, and remove.
		c, err := net.Dial("unix", "/var/run/wireguard/"+h.device+".sock")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// wg sets something of a foreign end's.
func (h *end) wg(t testing.TB, args ...string) {
	t.Helper()
	h.run(t, "wg", append([]string{"set", h.device}, args...)...)
}

// setPSK has a foreign end take the PSK of 32 octets of c.
func (h *end) setPSK(t testing.TB, c byte) {
	t.Helper()
	p := psk("", c)
	file := filepath.Join(h.dir, "psk")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(p.Secret.Bytes())), 0o600); err != nil {
		t.Fatal(err)
	}
	h.wg(t, "peer", h.other.public.String(), "preshared-key", file)
}

// handshake is when a foreign end had its last, in seconds; 0: never.
func (h *end) handshake(t testing.TB) string {
	t.Helper()
	f := strings.Fields(h.run(t, "wg", "show", h.device, "latest-handshakes"))
	if len(f) != 2 {
		t.Fatalf("wg show: %q", f)
	}
	return f[1]
}

// One of ours with somebody else's, over IPv4 and IPv6, with a PSK, both ways.
func TestStock(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		for _, six := range []bool{false, true} {
			t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[six], func(t *testing.T) {
				a, b := cable(t)
				a.six, b.six = six, six
				b.foreign(t, k)
				b.setPSK(t, 'x')
				a.prepare(t, k, withPSK)
				a.open(t).SetPSKs(inside(psk("one", 'x')))
				a.live(t)
				a.ping(t, 20)
				b.ping(t, 20)
				if b.handshake(t) == "0" {
					t.Error("the other end had no handshake")
				}
			})
		}
	})
}

// A wrong PSK: no traffic, and the problem names it where that is told.
func TestWrongPSK(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		b.setPSK(t, 'y')
		a.prepare(t, k, withPSK)
		a.open(t).SetPSKs(inside(psk("one", 'x')))
		says := "no handshake with"
		if k.userspace {
			says = "another PSK"
		}
		await(t, "the problem says "+says, 10*time.Second, func() bool { return strings.Contains(a.session.View().Problem, says) })
		if v := a.session.View(); v.Live() || v.Remedy == "" {
			t.Errorf("%+v", v)
		}
		b.setPSK(t, 'x')
		a.live(t)
		if p := a.session.View().Problem; p != "" {
			t.Errorf("live, and yet: %s", p)
		}
	})
}

// Keys of the other end that are not as configured here: nothing verifies.
func TestWrongPublicKey(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		a.prepare(t, k, func(c *config.Tunnel) { c.WireGuard.PeerPublicKey = a.public.String()[:42] + "A=" })
		a.open(t)
		await(t, "the problem is told", 10*time.Second, func() bool { return a.session.View().State == "unsecured" })
		if v := a.session.View(); !strings.Contains(v.Problem, "no handshake with "+b.at.String()) || !strings.Contains(v.Remedy, "public_key") {
			t.Errorf("%+v", v)
		}
	})
}
