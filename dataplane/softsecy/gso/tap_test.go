package gso

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// side is a namespace with a tap that has the offloads on.
type side struct {
	ns  *netns.NS
	tap *os.File
	uso bool
}

func newSide(t *testing.T, host byte) side {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	s := side{ns: ns}
	if err := ns.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		req, err := unix.NewIfreq("tap")
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return fmt.Errorf("TUNSETIFF: %w", err)
		}
		const csum, tso4, tso6, ecn, uso4, uso6 = 1, 2, 4, 8, 0x20, 0x40 // linux/if_tun.h
		s.uso = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, csum|tso4|tso6|ecn|uso4|uso6) == nil
		if !s.uso { // before Linux 6.2
			if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, csum|tso4|tso6|ecn); err != nil {
				return fmt.Errorf("TUNSETOFFLOAD: %w", err)
			}
		}
		s.tap = os.NewFile(uintptr(fd), "tap")
		l, err := netlink.LinkByName("tap")
		if err != nil {
			return err
		}
		for _, a := range []string{fmt.Sprintf("192.0.2.%d/24", host), fmt.Sprintf("2001:db8::%d/64", host)} {
			p, err := netlink.ParseAddr(a)
			if err != nil {
				return err
			}
			p.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(l, p); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(l)
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// tally is what went through a pump.
type tally struct{ supersIn, frames, supersOut, udpOut atomic.Int64 }

// pump carries what from sends to to as frames, and joins them there again. It
// ends when a tap is closed.
func pump(from, to *os.File, uso bool, n *tally) error {
	in, err := from.SyscallConn()
	if err != nil {
		return err
	}
	out, err := to.SyscallConn()
	if err != nil {
		return err
	}
	var s Splitter
	c := NewCoalescer(CoalescerOptions{UDP: uso})
	packet, frames := make([]byte, 1<<17), make([]byte, 1<<20)
	for {
		c.Reset()
		var bad error
		used := 0
		err := in.Read(func(fd uintptr) bool {
			for len(frames)-used > 1<<18 {
				got, err := unix.Read(int(fd), packet)
				if err != nil {
					if !errors.Is(err, unix.EAGAIN) {
						bad = fmt.Errorf("read: %w", err)
					}
					return used > 0 || bad != nil
				}
				var h Header
				h.Decode(packet)
				if h.Type != None {
					n.supersIn.Add(1)
				}
				if bad = s.Begin(h, packet[HeaderLen:got]); bad != nil {
					return true
				}
				for {
					size, err := s.Next(frames[used:], 0)
					if err != nil || size > 1514 {
						bad = fmt.Errorf("a frame of %d octets, %w", size, err)
						return true
					}
					if size == 0 {
						break
					}
					n.frames.Add(1)
					c.Add(frames[used : used+size : used+size])
					used += size
				}
			}
			return true
		})
		if err = errors.Join(err, bad); err != nil {
			return err
		}
		for _, p := range c.Packets() {
			var h Header
			h.Decode(p[0])
			if h.Type == UDPL4 {
				n.udpOut.Add(1)
			}
			if h.Type != None {
				n.supersOut.Add(1)
			}
			err := out.Write(func(fd uintptr) bool {
				_, bad = unix.Writev(int(fd), p)
				return !errors.Is(bad, unix.EAGAIN)
			})
			if err := errors.Join(err, bad); err != nil {
				return fmt.Errorf("write of %d pieces, header %+v: %w", len(p), h, err)
			}
		}
	}
}

// cable joins two sides by pumps.
func cable(t *testing.T) (a, b side, there, back *tally) {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.TUN)
	a, b = newSide(t, 1), newSide(t, 2)
	there, back = new(tally), new(tally)
	var wg sync.WaitGroup
	var closing atomic.Bool
	for _, p := range []struct {
		from, to side
		n        *tally
	}{{a, b, there}, {b, a, back}} {
		wg.Go(func() {
			if err := pump(p.from.tap, p.to.tap, p.to.uso, p.n); !closing.Load() {
				t.Errorf("pump: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		closing.Store(true)
		a.tap.Close()
		b.tap.Close()
		wg.Wait()
	})
	return a, b, there, back
}

// checksumErrors are those that the side's kernel counted, by protocol.
func (s side) checksumErrors(t *testing.T) (bad string) {
	t.Helper()
	if err := s.ns.Do(func() error {
		v4, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		v6, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			return err
		}
		var names []string
		for line := range strings.Lines(string(v4)) {
			f := strings.Fields(line)
			if names == nil {
				names = f
				continue
			}
			for i := range f {
				if names[i] == "InCsumErrors" && f[i] != "0" {
					bad += f[0] + " " + f[i] + " "
				}
			}
			names = nil
		}
		for line := range strings.Lines(string(v6)) {
			if f := strings.Fields(line); strings.HasSuffix(f[0], "InCsumErrors") && f[1] != "0" {
				bad += f[0] + " " + f[1] + " "
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return bad
}

// TestTapTCP sends a stream from kernel to kernel: cut, joined, and whole.
func TestTapTCP(t *testing.T) {
	a, b, there, back := cable(t)
	data := octets(3<<20, 1)
	for _, addr := range []string{"192.0.2.2", "2001:db8::2"} {
		var l net.Listener
		if err := b.ns.Do(func() (err error) {
			l, err = net.Listen("tcp", net.JoinHostPort(addr, "0"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		sent := make(chan error, 1)
		go func() {
			var c net.Conn
			err := a.ns.Do(func() (err error) {
				c, err = net.DialTimeout("tcp", l.Addr().String(), 20*time.Second)
				return err
			})
			if err == nil {
				_, err = c.Write(data)
				err = errors.Join(err, c.Close())
			}
			sent <- err
		}()
		if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("%s: %d octets came, or others than the %d sent", addr, len(got), len(data))
		}
	}
	if there.supersIn.Load() == 0 || there.supersOut.Load() == 0 {
		t.Errorf("of the host %d super-packets, for it %d; %d frames", there.supersIn.Load(), there.supersOut.Load(), there.frames.Load())
	}
	if bad := a.checksumErrors(t) + b.checksumErrors(t); bad != "" {
		t.Errorf("checksum errors: %s", bad)
	}
	t.Logf("there %d super-packets, %d frames, %d super-packets; back %d frames",
		there.supersIn.Load(), there.frames.Load(), there.supersOut.Load(), back.frames.Load())
}

// TestTapUDP sends datagrams by UDP_SEGMENT: each comes as it was.
func TestTapUDP(t *testing.T) {
	a, b, there, _ := cable(t)
	for _, addr := range []string{"192.0.2.2", "2001:db8::2"} {
		var to, from *net.UDPConn
		if err := b.ns.Do(func() (err error) {
			to, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(addr)})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		if err := a.ns.Do(func() (err error) {
			from, err = net.DialUDP("udp", nil, to.LocalAddr().(*net.UDPAddr))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		raw, err := from.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		const size = 1000
		var set error
		if err := raw.Control(func(fd uintptr) {
			set = syscall.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size)
		}); err != nil || set != nil {
			t.Fatal(err, set)
		}
		data := octets(20*size+123, 1)
		if _, err := from.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := to.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2*size)
		for rest := data; len(rest) > 0; {
			n, err := to.Read(buf)
			if err != nil {
				t.Fatalf("%d octets before the end: %v", len(rest), err)
			}
			if n != min(size, len(rest)) || !bytes.Equal(buf[:n], rest[:n]) {
				t.Fatalf("%d octets before the end came %d, or others", len(rest), n)
			}
			rest = rest[n:]
		}
	}
	if bad := a.checksumErrors(t) + b.checksumErrors(t); bad != "" {
		t.Errorf("checksum errors: %s", bad)
	}
	if b.uso && there.udpOut.Load() == 0 {
		t.Errorf("%d super-packets came, %d frames, and none was joined", there.supersIn.Load(), there.frames.Load())
	}
	t.Logf("%d super-packets, %d frames, %d super-packets", there.supersIn.Load(), there.frames.Load(), there.supersOut.Load())
}
