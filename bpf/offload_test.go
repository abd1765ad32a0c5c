package bpf

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A tag that travels beside the frame, for the NIC to insert, is a tag, and 4
// octets: clear text behind it does not leave, nor MACsec behind two more; MACsec
// does. A VLAN device on the port makes such frames; so does who pushes a tag.
func TestTagBesideTheFrame(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.quiet(t)
		var tagger netlink.Link
		w.do(t, func() (err error) {
			if tagger, err = otherDevice(); err != nil {
				return err
			}
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
				asm.Mov.Reg(asm.R6, asm.R1),
				asm.Mov.Imm(asm.R2, int32(wire(0x8100))), asm.Mov.Imm(asm.R3, 10), asm.FnSkbVlanPush.Call(),
				asm.Mov.Imm(asm.R1, int32(w.index())), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}})
			if err != nil {
				return err
			}
			defer p.Close()
			f := portEgress(tagger).filter()
			f.Fd, f.Name = p.FD(), "redirect"
			return netlink.FilterAdd(f)
		})
		e := w.attach(t, plain, m)
		w.sas(t).start(t, keyed(Egress, 1, 7))
		from, port, peer := w.station(t, tagger), w.station(t, w.port), w.station(t, w.peer)
		macsec, clear := framed(portSCI, 1, 1, 60), octets(t, portMAC+peerMAC+"88b5", 60)
		from.send(t, macsec)
		from.try(t, clear)
		from.try(t, octets(t, portMAC+peerMAC+"88a80064"+"8100000b"+"88e5"+"2c00", 60))
		left := 0
		for _, f := range peer.until(t, marked(t, port, 1)) {
			left++
			if string(f[:12]) == string(clear[:12]) {
				t.Errorf("it left: %x", f)
			}
		}
		c := e.counters(t).Egress
		if one := (Counter{1, 64}); left != 1 || c.MACsec != one || c.Tagged != (Counter{2, 128}) || c.Dropped != (Counter{}) {
			t.Errorf("%d frames left; egress counters %+v", left, c)
		}
		all, err := e.OuterCircuits()
		if err != nil || len(all) != 1 || all[0].CTag != 10 || all[0].Counter != (Counter{1, 64}) {
			t.Errorf("circuits %+v, %v", all, err)
		}
	})
}

// What is yet to be segmented counts as what it becomes.
func TestSuperPacket(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.quiet(t)
		w.sendUDP(t) // names the neighbour
		e := w.attach(t, counting, m)
		before := e.counters(t).Egress.Clear
		w.do(t, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
				return err
			}
			return unix.Sendto(fd, make([]byte, 9500), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 2}})
		})
		after := e.counters(t).Egress.Clear
		if got, want := (Counter{after.Packets - before.Packets, after.Octets - before.Octets}), (Counter{10, 9500 + 10*42}); got != want {
			t.Errorf("10 datagrams in one count as %+v, want %+v", got, want)
		}
	})
}

// skbContext is struct __sk_buff of kernel.h, as far as a test may set it.
type skbContext struct {
	_       [160]byte
	WireLen uint32
	GSOSegs uint32
	_       uint64
	GSOSize uint32
	_       uint32
}

// Super-packets that do not say how many they become, with headers of all sizes.
func TestSegments(t *testing.T) {
	p := loaded(t, counting)
	total := Counter{}
	options := strings.Repeat("01", 12)
	for _, head := range []string{
		ether("0800", v4(local4, elsewhere4, 17, 0, udp(1, 2, ""))),
		ether("0800", v4(local4, elsewhere4, 6, 0, zeros(12)+"50000000"+zeros(4))),
		ether("8100000a0800", v4options(local4, elsewhere4, 6, 0, options, zeros(12)+"80000000"+zeros(4)+options)),
		ether("86dd", v6(local6, elsewhere6, 6, 64, zeros(12)+"80000000"+zeros(4)+options)),
		ether("86dd", v6(local6, elsewhere6, 17, 64, udp(1, 2, ""))),
	} {
		for _, each := range []int{36, 536, 1000} {
			for _, payload := range []int{each + 1, 2 * each, 2*each + 1, 3*each - 1, 3000} { // the kernel tests with less than a page
				n := (payload + each - 1) / each
				all := payload + n*len(head)/2
				_, err := p.out.Run(&ebpf.RunOptions{Data: octets(t, head, len(head)/2+payload), Context: skbContext{WireLen: uint32(all), GSOSize: uint32(each)}})
				if err != nil {
					t.Fatal(err)
				}
				total = Counter{total.Packets + uint64(n), total.Octets + uint64(all)}
				if v, err := verdicts(p.held(portMapEgress)); err != nil || v.Clear != total {
					t.Fatalf("%d octets in segments of %d behind %s: %+v, %v; want %+v", payload, each, head, v.Clear, err, total)
				}
			}
		}
	}
}

// The filter neither needs nor sets a limit to the MTU.
func TestJumboMTU(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		mtu := func(n int) {
			w.do(t, func() error {
				if err := netlink.LinkSetMTU(w.port, n); err != nil {
					return err
				}
				return netlink.LinkSetMTU(w.peer, n)
			})
		}
		mtu(9000)
		e := w.attach(t, plain, m)
		mtu(1500)
		mtu(9216)
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		frame := octets(t, packets[0].frame, 9230)
		peer.send(t, frame)
		port.until(t, frame)
		port.send(t, frame)
		peer.until(t, frame)
		c, err := e.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if want := (Counter{1, 9230}); c.Ingress.MACsec != want || c.Egress.MACsec != want {
			t.Errorf("counters %+v; want %+v of MACsec each way", c, want)
		}
	})
}
