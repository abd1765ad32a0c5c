package reconcile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// hosts are two namespaces joined by eth1 of each: near has the tunnel, far is
// what could hear it in clear.
type hosts struct {
	t         *testing.T
	near, far *netns.NS
	heard     int // packet socket of far
	sends     int // packet socket of near
	says      int // packet socket of far, to send
}

const (
	nearMAC, farMAC   = "02:00:00:00:00:01", "02:00:00:00:00:02"
	nearAddr, farAddr = "10.0.0.4", "10.0.0.1"
	protectedHost     = "10.20.3.4"
)

func newHosts(t *testing.T) *hosts {
	t.Helper()
	h := &hosts{t: t}
	for _, ns := range []**netns.NS{&h.near, &h.far} {
		var err error
		if *ns, err = netns.New(""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*ns).Close() })
	}
	h.ip(h.near, "link add name eth1 address "+nearMAC+" type veth peer name eth1 address "+farMAC+" netns "+h.far.Path())
	for _, one := range []struct {
		ns              *netns.NS
		own, other, mac string
	}{{h.near, nearAddr, farAddr, farMAC}, {h.far, farAddr, nearAddr, nearMAC}} {
		h.ip(one.ns, "link set dev eth1 up")
		h.ip(one.ns, "addr add "+one.own+"/24 dev eth1")
		h.ip(one.ns, "neigh replace "+one.other+" lladdr "+one.mac+" dev eth1")
	}
	// As if private peering had told of what is protected: the worst.
	h.ip(h.near, "route add default via "+farAddr)
	h.ip(h.near, "route add 10.20.0.0/16 via "+farAddr)
	h.heard, h.sends, h.says = h.packet(h.far), h.packet(h.near), h.packet(h.far)
	return h
}

func (h *hosts) ip(ns *netns.NS, args string) {
	h.t.Helper()
	if out, err := ns.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

func (h *hosts) packet(ns *netns.NS) (fd int) {
	h.t.Helper()
	err := ns.Do(func() (err error) {
		all := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)))
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all); err != nil {
			return err
		}
		i, err := net.InterfaceByName("eth1")
		if err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: i.Index})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// udp is a frame of UDP.
func udp(from, to, fromMAC, toMAC string, port uint16, payload string) []byte {
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	m1, _ := net.ParseMAC(toMAC)
	m2, _ := net.ParseMAC(fromMAC)
	b := append(append(append([]byte{}, m1...), m2...), 8, 0)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	ip = append(append(ip, src[:]...), dst[:]...)
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	u := binary.BigEndian.AppendUint16(nil, port)
	u = binary.BigEndian.AppendUint16(u, port)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(payload)))
	return append(append(append(b, ip...), append(u, 0, 0)...), payload...)
}

// clearOut sends to what is protected, from raw frames, from a socket and from one
// that is bound to the device, and counts what far hears of it.
func (h *hosts) clearOut() (heard int) {
	h.t.Helper()
	const each = 5
	for i := range each {
		frame := udp(nearAddr, protectedHost, nearMAC, farMAC, 9, fmt.Sprintf("secret %d", i))
		if _, err := unix.Write(h.sends, frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
			h.t.Fatal(err)
		}
	}
	for _, device := range []string{"", "eth1"} {
		if err := h.near.Do(func() error {
			c, err := net.Dial("udp", protectedHost+":9")
			if errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) {
				return nil // so it should be
			}
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := c.(*net.UDPConn).SyscallConn()
			if err != nil {
				return err
			}
			if device != "" {
				if err := raw.Control(func(fd uintptr) { _ = unix.BindToDevice(int(fd), device) }); err != nil {
					return err
				}
			}
			for i := range each {
				_, _ = fmt.Fprintf(c, "secret %d", i) // an error is no frame
			}
			return nil
		}); err != nil {
			h.t.Fatal(err)
		}
	}
	// What is not protected passes, and is heard after all that was before it.
	const mark = "the end"
	if _, err := unix.Write(h.sends, udp(nearAddr, farAddr, nearMAC, farMAC, 9, mark)); err != nil {
		h.t.Fatal(err)
	}
	buf := make([]byte, 2000)
	for {
		n, err := unix.Read(h.heard, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			h.t.Fatalf("what is not protected is not heard: %v", err)
		case n < 14 || net.HardwareAddr(buf[6:12]).String() != nearMAC: // far's own
		case strings.Contains(string(buf[:n]), mark):
			return heard
		case strings.Contains(string(buf[:n]), "secret"):
			heard++
		}
	}
}

// clearIn sends from what is protected, and counts what a socket of near gets.
func (h *hosts) clearIn() (got int) {
	h.t.Helper()
	var c net.PacketConn
	if err := h.near.Do(func() (err error) { c, err = net.ListenPacket("udp", nearAddr+":9"); return err }); err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		if _, err := unix.Write(h.says, udp(protectedHost, nearAddr, farMAC, nearMAC, 9, fmt.Sprintf("secret %d", i))); err != nil {
			h.t.Fatal(err)
		}
	}
	const mark = "the end"
	if _, err := unix.Write(h.says, udp(farAddr, nearAddr, farMAC, nearMAC, 9, mark)); err != nil {
		h.t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		h.t.Fatal(err)
	}
	buf := make([]byte, 100)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			h.t.Fatalf("what is not protected is not received: %v", err)
		}
		if string(buf[:n]) == mark {
			return got
		}
		got++
	}
}

// daemon is this test binary as a child of it.
type daemon struct {
	t      *testing.T
	cmd    *netns.Cmd
	orders io.WriteCloser
	says   *bufio.Scanner
	log    *syncBuffer
}

func (h *hosts) start(path string) *daemon {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	d := &daemon{t: h.t, cmd: h.near.Command(self, "-test.run=^$"), log: &syncBuffer{}}
	d.cmd.Env, d.cmd.Stderr = append(os.Environ(), childEnv+"="+path), d.log
	if d.orders, err = d.cmd.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	d.says = bufio.NewScanner(out)
	if err := d.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// order waits until it is obeyed.
func (d *daemon) order(what string) {
	d.t.Helper()
	fmt.Fprintln(d.orders, what)
	if !d.says.Scan() || d.says.Text() != "done: "+what {
		d.t.Fatalf("%s: %q\n%s", what, d.says.Text(), d.log)
	}
}

func (d *daemon) end(s os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
	_ = d.cmd.Wait() // of one that is killed an error
}

// await waits until near's way to what is protected is as said.
func (h *hosts) await(want string) {
	h.t.Helper()
	out := []byte(nil)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		out, _ = h.near.Command("ip", "route", "get", protectedHost).CombinedOutput() // an unreachable one is an error
		if strings.Contains(string(out), want) {
			return
		}
	}
	h.t.Fatalf("the way to %s is not %q but %s", protectedHost, want, out)
}

// Nothing of what is protected is in clear on the underlay: before the tunnel is
// live, while it is, when the daemon is killed, when it is back, and when
// somebody has taken the rule away. When the tunnel is no more it all passes, as
// it did before.
func TestClosed(t *testing.T) {
	probetest.Need(t, append(tunnelNeeds, probe.AFPacket)...)
	h := newHosts(t)
	path := filepath.Join(t.TempDir(), "t.yaml")
	write := func(protect string) {
		t.Helper()
		text := "version: 1\nname: t\nkeychains: {k: {source: file, path: /k}}\ntunnels:\n" +
			"  - {name: hub1, type: wireguard, device: eth1, interface: wg1, dataplane: userspace, local: " + nearAddr + ", remote: 10.20.0.5, protect: [" + protect + "],\n" +
			"     wireguard: {peer_public_key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	closed := func(when string) {
		t.Helper()
		if n := h.clearOut(); n != 0 {
			t.Errorf("%s: %d frames left in clear", when, n)
		}
		if n := h.clearIn(); n != 0 {
			t.Errorf("%s: %d frames came in in clear", when, n)
		}
	}
	open := func(when string) {
		t.Helper()
		if out, in := h.clearOut(), h.clearIn(); out == 0 || in == 0 {
			t.Fatalf("%s: %d frames were heard and %d came in: this test shows nothing", when, out, in)
		}
	}
	open("before there is a tunnel")
	write("10.20.0.0/16")
	d := h.start(path)
	h.await("No route to host")
	closed("not live")
	d.order("live")
	h.await("dev wg1")
	closed("live")
	d.order("dead")
	h.await("No route to host")
	closed("not live any more")
	d.order("live")
	h.await("dev wg1")
	d.end(unix.SIGKILL)
	h.await("dev wg1")
	closed("killed")
	h.ip(h.near, "rule del pref 5210")
	h.await("dev eth1")
	closed("killed, and the rule is gone")
	d = h.start(path)
	h.await("dev wg1")
	closed("started again")
	d.order("live")
	d.end(unix.SIGTERM)
	h.await("dev wg1")
	closed("stopped")
	d = h.start(path)
	write("10.30.0.0/16")
	d.order("reload")
	h.await("dev eth1")
	open("protected no more")
	d.end(unix.SIGTERM)
	if t.Failed() {
		t.Log(d.log)
	}
}
