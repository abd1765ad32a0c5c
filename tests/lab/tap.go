package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

// Frame is one that a device received or sent. Octets are only good until the
// function that gets it returns.
type Frame struct {
	At       time.Time // by the kernel, when the frame met the tap
	Outgoing bool      // the device sends it
	Octets   []byte    // from DA on, at least 14
}

// EtherType is the outermost.
func (f Frame) EtherType() uint16 { return binary.BigEndian.Uint16(f.Octets[12:]) }

// Source is the MAC address that sent the frame.
func (f Frame) Source() string { return net.HardwareAddr(f.Octets[6:12]).String() }

// AN of a MACsec frame: the low bits of the octet after the EtherType.
func (f Frame) AN() uint8 {
	if len(f.Octets) < 15 {
		return 0
	}
	return f.Octets[14] & 3
}

// Tap hears all frames of a device in an appliance.
type Tap struct {
	file *os.File
	done chan struct{}
}

// Listen calls hear with each frame of the device, from now on and until
// Close, from one goroutine. What AF_XDP moves it does not hear.
func Listen(a *Appliance, device string, hear func(Frame)) (*Tap, error) {
	t, err := listenIn(a.NS, device, nil, hear)
	if err != nil {
		return nil, fmt.Errorf("listening on %s at %s: %w", device, a.Name, err)
	}
	return t, nil
}

// listenIn is Listen in a namespace. A filter says what the kernel leaves out.
func listenIn(ns *netns.NS, device string, filter []bpf.Instruction, hear func(Frame)) (*Tap, error) {
	t := &Tap{done: make(chan struct{})}
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		t.file = os.NewFile(uintptr(fd), "packet")
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return err
		}
		if err := attach(fd, filter); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: ifi.Index})
	})
	var raw syscall.RawConn
	if err == nil {
		raw, err = t.file.SyscallConn()
	}
	if err != nil {
		if t.file != nil {
			t.file.Close()
		}
		return nil, err
	}
	go t.run(raw, hear)
	return t, nil
}

// attach gives a socket a filter; none if it is empty.
func attach(fd int, filter []bpf.Instruction) error {
	if len(filter) == 0 {
		return nil
	}
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

func (t *Tap) run(raw syscall.RawConn, hear func(Frame)) {
	defer close(t.done)
	buf, oob := make([]byte, 65536), make([]byte, 128)
	for {
		var n, oobn int
		var from unix.Sockaddr
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			n, oobn, _, from, rerr = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT)
			return rerr != unix.EAGAIN
		})
		if err != nil {
			return // closed
		}
		if rerr != nil || n < 14 {
			continue // ENETDOWN: the device went down, and may come back
		}
		f := Frame{At: timestamp(oob[:oobn]), Octets: buf[:n]}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			f.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		}
		hear(f)
	}
}

func timestamp(oob []byte) time.Time {
	all, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range all {
			if m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
				return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
			}
		}
	}
	return time.Now()
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

// Close stops the tap and waits until hear is no longer called.
func (t *Tap) Close() error {
	err := t.file.Close()
	<-t.done
	return err
}
