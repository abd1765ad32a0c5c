package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestConfigureOver(t *testing.T) {
	keys := func(n byte) *end {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a := netip.AddrFrom4([4]byte{192, 0, 2, n})
		return &end{device: "wg", key: k, underlay: netip.AddrPortFrom(a, 51820), address: netip.PrefixFrom(a, 24)}
	}
	for answer, ok := range map[string]bool{"errno=0\n\n": true, "errno=-22\n\n": false, "": false} {
		here, there := net.Pipe()
		got := make(chan string, 1)
		go func() {
			buf := make([]byte, 4096)
			n, _ := there.Read(buf)
			there.Write([]byte(answer))
			there.Close()
			got <- string(buf[:n])
		}()
		if err := configureOver(here, keys(1), keys(2)); (err == nil) != ok {
			t.Errorf("answer %q: %v", answer, err)
		}
		here.Close()
		if text := <-got; !strings.HasPrefix(text, "set=1\n") || !strings.Contains(text, "\nendpoint=192.0.2.2:51820\n") || !strings.HasSuffix(text, "\nallowed_ip=192.0.2.0/24\n\n") {
			t.Errorf("configuration %q", text)
		}
	}
}

func TestWireguardVersionRefuses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range []string{self, "/nonexistent"} {
		if v, err := wireguardVersion(binary); err == nil {
			t.Errorf("%s is wireguard-go %s", binary, v)
		}
	}
}
