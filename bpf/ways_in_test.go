package bpf

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// waysIn are those by which a clear frame can come to the port's ingress.
var waysIn = []struct {
	name string
	open func(*testWire) (way, error)
}{
	{"packet socket", func(w *testWire) (way, error) { return way{device: "peer"}, nil }},
	{"packet socket with PACKET_QDISC_BYPASS", func(w *testWire) (way, error) {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return way{}, err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return way{}, err
		}
		return way{send: func() error {
			return unix.Sendto(fd, clearFrame, 0, &unix.SockaddrLinklayer{Ifindex: w.peer.Attrs().Index, Halen: 6})
		}}, nil
	}},
	{"XDP_TX of the other end", func(w *testWire) (way, error) {
		// The port's own frame is sent back, so that the filter meets it on both ways:
		// only what it passes outward gets there, and it is no longer that.
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14),
			asm.Mov.Imm(asm.R0, xdpPass), asm.JGT.Reg(asm.R4, asm.R3, "out"),
			asm.StoreImm(asm.R2, 12, 0xb588, asm.Half), asm.Mov.Imm(asm.R0, xdpTx),
			asm.Return().WithSymbol("out"),
		}})
		if err != nil {
			return way{}, err
		}
		defer p.Close()
		macsec := append(append([]byte{}, clearFrame[:12]...), append([]byte{0x88, 0xe5, 0x2c}, make([]byte, 45)...)...)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return way{}, err
		}
		return way{send: func() error {
			return unix.Sendto(fd, macsec, 0, &unix.SockaddrLinklayer{Ifindex: w.index(), Halen: 6})
		}, native: true}, netlink.LinkSetXdpFdWithFlags(w.peer, p.FD(), unix.XDP_FLAGS_DRV_MODE)
	}},
	{"XDP redirect to the other end", func(w *testWire) (way, error) {
		l, err := pairUp("other", "nowhere")
		if err != nil {
			return way{}, err
		}
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(w.peer.Attrs().Index)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}})
		if err != nil {
			return way{}, err
		}
		defer p.Close()
		return way{device: "nowhere", native: true}, netlink.LinkSetXdpFdWithFlags(l, p.FD(), unix.XDP_FLAGS_DRV_MODE)
	}},
	{"bpf_redirect, as if received, from another device", func(w *testWire) (way, error) {
		l, err := otherDevice()
		if err != nil {
			return way{}, err
		}
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(w.index())), asm.Mov.Imm(asm.R2, bpfIngress), asm.FnRedirect.Call(), asm.Return()}})
		if err != nil {
			return way{}, err
		}
		defer p.Close()
		f := portEgress(l).filter()
		f.Fd, f.Name = p.FD(), "redirect"
		return way{device: "other", unseen: true}, netlink.FilterAdd(f)
	}},
}

const (
	xdpTx      = 3
	bpfIngress = 1 // BPF_F_INGRESS
)

// reception is a packet socket that counts what the port receives: of clearFrame's
// protocol alone where ingress is by tc, behind sockets for all.
type reception struct {
	fd int
	n  uint64
}

func (w *testWire) listen(t *testing.T, m modes) *reception {
	t.Helper()
	protocol := unix.ETH_P_ALL
	if m.in.ByTC() {
		protocol = int(binary.BigEndian.Uint16(clearFrame[12:]))
	}
	h := &reception{fd: w.stationOf(t, w.port, protocol).fd}
	if err := unix.SetsockoptInt(h.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		t.Fatal(err)
	}
	return h
}

// count is how many frames so far, whether there was room for them or not.
func (h *reception) count(t *testing.T) uint64 {
	t.Helper()
	s, err := unix.GetsockoptTpacketStats(h.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatal(err)
	}
	h.n += uint64(s.Packets) // reading it sets it to 0; what was dropped is among it
	return h.n
}

// Clear frames by every way into the port: none is received, and each is
// counted, on whatever processor. Who may put frames into this host's own stack
// needs no wire for it: XDP does not see them.
func TestWaysIn(t *testing.T) {
	const short = 1024
	n := short
	if os.Getenv("LINKSEAL_SOAK") == "1" {
		n = 1 << 20
	}
	everywhere(t, func(t *testing.T, m modes) {
		if m != (modes{}) && m.out != Clsact && !m.in.ByTC() && n == short {
			return
		}
		total, open := 0, 0
		for _, of := range waysIn {
			t.Run(of.name, func(t *testing.T) {
				w := newWire(t)
				w.quiet(t)
				e := w.attach(t, plain, m)
				var x way
				w.do(t, func() (err error) { x, err = of.open(w); return err })
				if x.native && m.in != Native && m.in != 0 {
					return // they do not reach the port
				}
				send := x.send
				if send == nil {
					send = w.sender(t, x.device)
				}
				at := w.listen(t, m)
				start := e.counters(t).Ingress
				if x.unseen && (m.in == Native || m.in == 0) { // the others are in the stack
					blast(t, wave, send, func() uint64 { return at.count(t) })
					if c := e.counters(t).Ingress; c != start {
						t.Errorf("ingress saw %+v after %+v", c, start)
					}
					return
				}
				blast(t, n, send, func() uint64 { return e.counters(t).Ingress.Dropped.Packets })
				if got := at.count(t); got != 0 {
					t.Errorf("%d of %d frames were received", got, n)
				}
				total, open = total+n, open+1
			})
		}
		fmt.Printf("figure: %s and %s: 0 of %d clear frames came in by %d ways, each counted\n", m.in, m.out, total, open)
	})
}
