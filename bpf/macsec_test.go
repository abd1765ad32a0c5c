package bpf

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// secured is two namespaces with a MACsec device each, statically keyed, over
// a veth pair.
type secured struct {
	ends [2]*testWire // port is that end's veth
}

var (
	endMAC = [2]string{"02:00:00:00:00:01", "02:00:00:00:00:02"}
	saKey  = [2]string{strings.Repeat("a1", 16), strings.Repeat("b2", 16)}
)

func newSecured(t testing.TB) *secured {
	t.Helper()
	probetest.Need(t, probe.MACsec, probe.MACsecGCM)
	probetest.NeedTool(t, "ip")
	w := newWire(t)
	far, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	s := &secured{ends: [2]*testWire{w, {ns: far, port: w.peer, peer: w.port}}}
	w.do(t, func() error {
		return errors.Join(netlink.LinkSetHardwareAddr(w.peer, []byte{2, 0, 0, 0, 0, 2}), netlink.LinkSetNsFd(w.peer, far.Fd()))
	})
	for i, e := range s.ends {
		dev := e.port.Attrs().Name
		for _, line := range []string{
			"link set " + dev + " up",
			"link add link " + dev + " macsec0 type macsec encrypt on",
			"macsec add macsec0 tx sa 0 pn 1 on key 01 " + saKey[i],
			"macsec add macsec0 rx port 1 address " + endMAC[1-i],
			"macsec add macsec0 rx port 1 address " + endMAC[1-i] + " sa 0 pn 1 on key 00 " + saKey[1-i],
			fmt.Sprintf("address add 192.0.2.%d/24 dev macsec0", i+1),
			"link set macsec0 up",
		} {
			if out, err := e.ns.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v\n%s", line, err, out)
			}
		}
	}
	return s
}

// carry sends octets over TCP from the first end to the second, and returns
// their digests as sent and as received.
func (s *secured) carry(n int) (sent, got [sha256.Size]byte, err error) {
	var ln net.Listener
	if err := s.ends[1].ns.Do(func() (err error) { ln, err = net.Listen("tcp4", "192.0.2.2:0"); return err }); err != nil {
		return sent, got, err
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			h := sha256.New()
			_, err = io.Copy(h, c)
			c.Close()
			h.Sum(got[:0])
		}
		done <- err
	}()
	var c net.Conn
	if err := s.ends[0].ns.Do(func() (err error) { c, err = net.DialTimeout("tcp4", ln.Addr().String(), 20*time.Second); return err }); err != nil {
		return sent, got, err
	}
	data := bytes.Repeat([]byte("0123456789abcde\n"), n/16)
	sent = sha256.Sum256(data)
	_, werr := c.Write(data)
	return sent, got, errors.Join(werr, c.Close(), <-done)
}

// The kernel's MACsec goes through the filter at both ends, segmentation and
// checksums of a bulk transfer included.
func TestKernelMACsecPasses(t *testing.T) {
	probetest.Need(t, probe.MACsec)
	combinations(t, func(t *testing.T, m modes) {
		s := newSecured(t)
		a, b := s.ends[0].attach(t, plain, m), s.ends[1].attach(t, plain, m)
		sent, got, err := s.carry(4 << 20)
		if err != nil || sent != got {
			t.Fatalf("received other than was sent, or nothing: %v", err)
		}
		ca, err := a.Counters()
		if err != nil {
			t.Fatal(err)
		}
		cb, err := b.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if ca.Egress.MACsec.Octets < 4<<20 || cb.Ingress.MACsec.Octets < 4<<20 || ca.Ingress.MACsec.Packets == 0 {
			t.Errorf("counters %+v and %+v after 4 MiB", ca, cb)
		}
	})
}

func BenchmarkMACsecTCP(b *testing.B) {
	const size = 8 << 20
	for _, m := range []struct {
		name string
		modes
		filter bool
	}{{"no filter", modes{}, false}, {"generic", modes{Generic, Clsact}, true}, {"native", modes{Native, Clsact}, true}} {
		b.Run(m.name, func(b *testing.B) {
			s := newSecured(b)
			if m.filter {
				s.ends[0].attach(b, plain, m.modes)
				s.ends[1].attach(b, plain, m.modes)
			}
			b.SetBytes(size)
			for b.Loop() {
				if sent, got, err := s.carry(size); err != nil || sent != got {
					b.Fatal(err)
				}
			}
		})
	}
}
