package bpf

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// way is one by which a clear frame can come to the port's egress, ready to be
// used.
type way struct {
	device string // whose packet socket sends the frame
	send   func() error
	tagged bool // on the wire the frame would have a VLAN tag
	unseen bool // the filter does not see it: the package says so
	native bool // a veth takes such frames if it has a program in the driver
}

// ways make, each, what a way needs, in the namespace of the wire.
var ways = []struct {
	name string
	open func(*testWire) (way, error)
}{
	{"packet socket", func(w *testWire) (way, error) { return way{device: "port"}, nil }},
	{"packet socket, TX ring", (*testWire).txRing},
	{"raw IP socket", (*testWire).rawIP},
	{"macvlan", func(w *testWire) (way, error) {
		return w.above(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "above", ParentIndex: w.index()}, Mode: netlink.MACVLAN_MODE_BRIDGE})
	}},
	{"ipvlan", func(w *testWire) (way, error) {
		return w.above(&netlink.IPVlan{LinkAttrs: netlink.LinkAttrs{Name: "above", ParentIndex: w.index()}, Mode: netlink.IPVLAN_MODE_L2})
	}},
	{"VLAN device", func(w *testWire) (way, error) {
		x, err := w.above(&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "above", ParentIndex: w.index()}, VlanId: 10})
		x.tagged = true
		return x, err
	}},
	{"bridge", (*testWire).bridged},
	{"act_mirred from another device", (*testWire).mirred},
	{"bpf_redirect from another device", func(w *testWire) (way, error) { return w.redirected(asm.FnRedirect) }},
	{"bpf_clone_redirect from another device", func(w *testWire) (way, error) { return w.redirected(asm.FnCloneRedirect) }},
	{"XDP redirect from another device", (*testWire).xdpRedirected},
}

// above is a device on the port, up.
func (w *testWire) above(l netlink.Link) (way, error) {
	return way{device: l.Attrs().Name}, errors.Join(netlink.LinkAdd(l), netlink.LinkSetUp(l))
}

// pairUp adds a veth pair; what one sends the other receives.
func pairUp(one, other string) (netlink.Link, error) {
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: one}, PeerName: other}
	if err := netlink.LinkAdd(v); err != nil {
		return nil, err
	}
	o, err := netlink.LinkByName(other)
	if err != nil {
		return nil, err
	}
	return v, errors.Join(netlink.LinkSetUp(v), netlink.LinkSetUp(o))
}

func (w *testWire) bridged() (way, error) {
	snooping := false // it makes the bridge speak IGMP
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}, MulticastSnooping: &snooping}
	if err := netlink.LinkAdd(br); err != nil {
		return way{}, err
	}
	member, err := pairUp("member", "behind")
	if err != nil {
		return way{}, err
	}
	return way{device: "behind"}, errors.Join(netlink.LinkSetMaster(member, br), netlink.LinkSetMaster(w.port, br), netlink.LinkSetUp(br))
}

// otherDevice is one that has nothing to do with the port but what its egress
// will do.
func otherDevice() (netlink.Link, error) {
	l, err := pairUp("other", "nowhere")
	if err != nil {
		return nil, err
	}
	return l, netlink.QdiscAdd(clsact(l))
}

func (w *testWire) mirred() (way, error) {
	l, err := otherDevice()
	if err != nil {
		return way{}, err
	}
	return way{device: "other"}, netlink.FilterAdd(&netlink.U32{ // of all frames
		FilterAttrs: netlink.FilterAttrs{LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 1, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{netlink.NewMirredAction(w.index())},
	})
}

func (w *testWire) redirected(by asm.BuiltinFunc) (way, error) {
	l, err := otherDevice()
	if err != nil {
		return way{}, err
	}
	call := asm.Instructions{asm.Mov.Imm(asm.R1, int32(w.index())), asm.Mov.Imm(asm.R2, 0), by.Call(), asm.Return()}
	if by == asm.FnCloneRedirect { // it takes the frame first
		call = asm.Instructions{asm.Mov.Imm(asm.R2, int32(w.index())), asm.Mov.Imm(asm.R3, 0), by.Call(), asm.Mov.Imm(asm.R0, tcShot), asm.Return()}
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: call})
	if err != nil {
		return way{}, err
	}
	defer p.Close()
	f := portEgress(l).filter()
	f.Fd, f.Name = p.FD(), "redirect"
	return way{device: "other"}, netlink.FilterAdd(f)
}

func (w *testWire) xdpRedirected() (way, error) {
	l, err := pairUp("other", "nowhere")
	if err != nil {
		return way{}, err
	}
	for to, code := range map[netlink.Link]asm.Instructions{
		l:      {asm.Mov.Imm(asm.R1, int32(w.index())), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()},
		w.peer: {asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}, // a veth takes such frames if it has a program
	} {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: code})
		if err != nil {
			return way{}, err
		}
		defer p.Close()
		if err := netlink.LinkSetXdpFdWithFlags(to, p.FD(), unix.XDP_FLAGS_DRV_MODE); err != nil {
			return way{}, err
		}
	}
	return way{device: "nowhere", unseen: true}, nil
}

// rawIP sends datagrams of its own making, of a protocol for experiments.
func (w *testWire) rawIP() (way, error) {
	a, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		return way{}, err
	}
	n := &netlink.Neigh{LinkIndex: w.index(), IP: net.IPv4(192, 0, 2, 2), State: netlink.NUD_PERMANENT, HardwareAddr: w.peer.Attrs().HardwareAddr}
	if err := errors.Join(netlink.AddrReplace(w.port, a), netlink.NeighSet(n)); err != nil {
		return way{}, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 253)
	if err != nil {
		return way{}, err
	}
	return way{send: func() error {
		return unix.Sendto(fd, make([]byte, 64), 0, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 2}})
	}}, nil
}

// txRing sends from memory that it shares with the kernel (PACKET_TX_RING).
func (w *testWire) txRing() (way, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return way{}, err
	}
	const slot = 2048
	size := os.Getpagesize()
	req := unix.TpacketReq{Block_size: uint32(size), Block_nr: 1, Frame_size: slot, Frame_nr: uint32(size / slot)}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2),
		unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_TX_RING, &req),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: w.index()}))
	if err != nil {
		return way{}, err
	}
	ring, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return way{}, err
	}
	at, mu := 0, &sync.Mutex{}
	return way{send: func() error {
		mu.Lock()
		defer mu.Unlock()
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&ring[at*slot]))
		body := ring[at*slot+int(unsafe.Sizeof(*h)):][:60]
		copy(body, clearFrame)
		h.Len, h.Snaplen, h.Status = 60, 60, unix.TP_STATUS_SEND_REQUEST
		at = (at + 1) % int(req.Frame_nr)
		return unix.Sendto(fd, nil, 0, nil)
	}}, nil
}

// clearFrame goes to nobody: a bridge floods it.
var clearFrame = append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5}, make([]byte, 46)...)

// sender sends clearFrame from a device.
func (w *testWire) sender(t *testing.T, device string) func() error {
	t.Helper()
	fd := -1
	w.do(t, func() (err error) {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func() error { _, err := unix.Write(fd, clearFrame); return err }
}

// wave is how many frames may be on the way: what waits for a processor is
// dropped from 1000 on (net.core.netdev_max_backlog).
const wave = 256

// blast sends n frames from all processors, each its share, and waits now and
// then until seen, a counter, has them all.
func blast(t *testing.T, n int, send func() error, seen func() uint64) {
	t.Helper()
	start, cpus := seen(), runtime.NumCPU()
	var on []func(func())
	for cpu := range cpus {
		on = append(on, onCPU(t, cpu))
	}
	for sent := 0; sent < n; {
		share := max(1, min(wave, n-sent)/cpus)
		var all sync.WaitGroup
		errs := make(chan error, cpus)
		for _, do := range on {
			all.Go(func() {
				do(func() {
					for range share {
						if err := send(); err != nil && err != unix.ENOBUFS {
							errs <- err
							return
						}
					}
				})
			})
		}
		all.Wait()
		select {
		case err := <-errs:
			t.Fatal(err)
		default:
		}
		sent += share * cpus
		for deadline := time.Now().Add(10 * time.Second); seen() < start+uint64(sent); {
			if time.Now().After(deadline) {
				t.Fatalf("%d frames were sent, %d were seen", sent, seen()-start)
			}
			runtime.Gosched()
		}
		if got := seen() - start; got != uint64(sent) {
			t.Fatalf("%d frames were sent, %d were seen", sent, got)
		}
	}
}

// warm sends a frame now and then until one comes through: a bridge takes its
// time. It returns when nothing is on the way any more.
func (w *testWire) warm(t *testing.T, e *Enforcer, send func() error, unseen bool) {
	t.Helper()
	seen := func() uint64 {
		if unseen {
			return w.arrived(t)
		}
		c := e.counters(t).Egress
		return c.Dropped.Packets + c.Tagged.Packets
	}
	start := seen()
	for deadline := time.Now().Add(10 * time.Second); seen() == start; {
		if err := send(); err != nil && err != unix.ENOBUFS {
			t.Fatal(err)
		}
		for tried := time.Now(); seen() == start && time.Since(tried) < 50*time.Millisecond; {
			runtime.Gosched()
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing comes to the port this way")
		}
	}
}

// arrived is how many frames have come to the other end of the wire.
func (w *testWire) arrived(t *testing.T) (n uint64) {
	t.Helper()
	w.do(t, func() error {
		l, err := netlink.LinkByIndex(w.peer.Attrs().Index)
		if err == nil {
			n = l.Attrs().Statistics.RxPackets
		}
		return err
	})
	return n
}

// quiet has all devices of the namespace say nothing by themselves.
func (w *testWire) quiet(t *testing.T) {
	t.Helper()
	w.do(t, func() error {
		var errs []error
		for _, which := range []string{"all", "default"} {
			err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
			if !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
}

// Clear frames by every way that passes tc: none comes to the wire, and each is
// counted, on whatever processor.
func TestWaysOut(t *testing.T) {
	const short = 1024
	n := short
	if os.Getenv("LINKSEAL_SOAK") == "1" {
		n = 1 << 20
	}
	combinations(t, func(t *testing.T, m modes) {
		if m != (modes{}) && m.out != Clsact && n == short {
			return // one of each is enough to begin with
		}
		total := 0
		for _, of := range ways {
			t.Run(of.name, func(t *testing.T) {
				w := newWire(t)
				w.quiet(t)
				e := w.attach(t, plain, m)
				var x way
				err := w.ns.Do(func() (err error) { x, err = of.open(w); return err })
				if errors.Is(err, unix.EOPNOTSUPP) {
					t.Skipf("this kernel has no %s: %v", of.name, err)
				}
				if err != nil {
					t.Fatal(err)
				}
				send := x.send
				if send == nil {
					send = w.sender(t, x.device)
				}
				w.warm(t, e, send, x.unseen)
				before, start := w.arrived(t), e.counters(t).Egress
				if x.unseen {
					blast(t, wave, send, func() uint64 { return w.arrived(t) })
					if c := e.counters(t).Egress; c != start {
						t.Errorf("egress saw %+v after %+v: say so in doctor", c, start)
					}
					return
				}
				blast(t, n, send, func() uint64 {
					if c := e.counters(t).Egress; x.tagged {
						return c.Tagged.Packets
					} else {
						return c.Dropped.Packets
					}
				})
				if got := w.arrived(t) - before; got != 0 {
					t.Errorf("%d of %d frames came to the wire", got, n)
				}
				total += n
			})
		}
		fmt.Printf("figure: %s and %s: 0 of %d clear frames left the port by %d ways, each counted\n", m.in, m.out, total, total/n)
	})
}

// What a host says by itself, of IPv6's neighbours and multicast groups.
func TestHostIsSilent(t *testing.T) {
	w := newWire(t)
	w.quiet(t)
	e := w.attach(t, plain, modes{})
	before := w.arrived(t)
	w.do(t, func() error {
		path := "/proc/sys/net/ipv6/conf/port/disable_ipv6"
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			t.Skip("this kernel has no IPv6")
		}
		return os.WriteFile(path, []byte("0"), 0)
	})
	for deadline := time.Now().Add(10 * time.Second); e.counters(t).Egress.Dropped.Packets == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the host said nothing")
		}
		time.Sleep(time.Millisecond)
	}
	if got := w.arrived(t) - before; got != 0 {
		t.Errorf("%d frames came to the wire", got)
	}
}
