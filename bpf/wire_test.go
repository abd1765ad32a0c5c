package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/calls"
)

// testWire is a veth pair in a namespace of its own: port is what the filter is
// put on, peer the other side.
type testWire struct {
	ns         *netns.NS
	port, peer netlink.Link
}

// newWire makes them, with so many queues if told.
func newWire(t testing.TB, queues ...link.Queues) *testWire {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket, probe.BPF, probe.XDPNative, probe.XDPGeneric)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	w := &testWire{ns: ns}
	w.do(t, func() (err error) {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port", HardwareAddr: portAddress[:]}, PeerName: "peer"}
		for _, q := range queues {
			v.NumRxQueues, v.NumTxQueues = q.Rx, q.Tx
		}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		w.port, w.peer = v, nil
		if w.peer, err = netlink.LinkByName("peer"); err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetUp(w.port), netlink.LinkSetUp(w.peer))
	})
	w.carrier(t)
	return w
}

// carrier waits until both ends send: what is sent before is lost.
func (w *testWire) carrier(t testing.TB) {
	t.Helper()
	w.do(t, func() error {
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			up := 0
			for _, i := range []int{w.index(), w.peer.Attrs().Index} {
				l, err := netlink.LinkByIndex(i)
				if err != nil {
					return err
				}
				if l.Attrs().OperState == netlink.OperUp {
					up++
				}
			}
			if up == 2 {
				return nil
			}
		}
		return errors.New("no carrier within 20 s")
	})
}

func (w *testWire) do(t testing.TB, f func() error) {
	t.Helper()
	if err := w.ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

func (w *testWire) index() int { return w.port.Attrs().Index }

func (w *testWire) attach(t testing.TB, f Filter, m modes) *Enforcer {
	t.Helper()
	var e *Enforcer
	w.do(t, func() (err error) { e, err = attach(w.index(), f, m); return err })
	t.Cleanup(func() { e.Close() })
	return e
}

func (w *testWire) observe(t testing.TB) (s State) {
	t.Helper()
	w.do(t, func() (err error) { s, err = Observe(w.index()); return err })
	return s
}

// station is a packet socket on a device that hears and sends everything, or
// several of some protocols.
type station struct {
	fd     int
	others []*station
}

func (w *testWire) station(t testing.TB, l netlink.Link) *station {
	t.Helper()
	return w.stationOf(t, l, unix.ETH_P_ALL)
}

// stack is a station on the port that hears what the stack does. Ingress by tc is
// behind sockets for all protocols, and before those for one.
func (w *testWire) stack(t testing.TB, m modes) *station {
	t.Helper()
	if !m.in.ByTC() {
		return w.station(t, w.port)
	}
	s := w.stationOf(t, w.port, int(plain.EtherType)) // a mark's
	types := []int{int(plain.EtherType)}
	for _, p := range slices.Concat(packets, underlayPackets) {
		b := octets(t, p.frame, 14)
		for i := 12; i+1 < len(b); i += 4 {
			e := int(binary.BigEndian.Uint16(b[i:]))
			tag := e == 0x8100 || e == 0x88a8 || e == 0x9100
			if e < 0x0600 {
				e = unix.ETH_P_802_2
			}
			if !slices.Contains(types, e) {
				types = append(types, e)
				s.others = append(s.others, w.stationOf(t, w.port, e))
			}
			if !tag {
				break
			}
		}
	}
	return s
}

func (w *testWire) stationOf(t testing.TB, l netlink.Link, protocol int) *station {
	t.Helper()
	s := &station{}
	w.do(t, func() (err error) {
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(s.fd) })
		tv := unix.NsecToTimeval(int64(10 * time.Second))
		return errors.Join(
			unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
			unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
			unix.SetsockoptPacketMreq(s.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(l.Attrs().Index), Type: unix.PACKET_MR_PROMISC}),
			unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: wire(uint16(protocol))}))
	})
	return s
}

func (s *station) send(t testing.TB, frame []byte) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); ; {
		_, err := unix.Write(s.fd, frame)
		if err == nil {
			return
		}
		// The ring is full until the one who reads has a processor.
		if !errors.Is(err, unix.ENOBUFS) || time.Now().After(late) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// until returns the frames that are received before one that begins like
// last. Frames that the station sent itself are not among them.
func (s *station) until(t testing.TB, last []byte) (before [][]byte) {
	t.Helper()
	buf := make([]byte, 10000)
	for {
		n, from, err := calls.Recvfrom(s.fd, buf)
		if err != nil {
			t.Fatalf("waiting for %x: %v", last, err)
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if bytes.HasPrefix(buf[:n], last) {
			for _, o := range s.others {
				before = append(before, o.there(t)...)
			}
			return before
		}
		before = append(before, bytes.Clone(buf[:n]))
	}
}

// onCPU gives a goroutine of its own to a processor, to do things there one after
// the other.
func onCPU(t testing.TB, cpu int) (do func(func())) {
	t.Helper()
	jobs, done := make(chan func()), make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with it
		var one unix.CPUSet
		one.Set(cpu % runtime.NumCPU())
		done <- unix.SchedSetaffinity(0, &one)
		for f := range jobs {
			f()
			done <- nil
		}
	}()
	t.Cleanup(func() { close(jobs) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return func(f func()) {
		jobs <- f
		<-done
	}
}

// there are the frames that have come.
func (s *station) there(t testing.TB) (all [][]byte) {
	t.Helper()
	buf := make([]byte, 10000)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(buf[:n]))
	}
}

// mark is a frame that passes, and that no other is like.
func mark(n byte) []byte {
	f := append(append([]byte{}, paeGroup[:]...), 2, 0, 0, 0, 0, 9, 0x88, 0x8e, 3, 5, n)
	return append(f, make([]byte, 60-len(f))...)
}

// clearOnes are those of the frames that a must-secure port must not carry.
func clearOnes(frames [][]byte) (clear []string) {
	for _, f := range frames {
		if t := fmt.Sprintf("%x", f[12:14]); t != "88e5" && t != "888e" {
			clear = append(clear, fmt.Sprintf("%x", f))
		}
	}
	return clear
}
