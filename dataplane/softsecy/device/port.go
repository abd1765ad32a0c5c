package device

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/packet"
	"github.com/linkseal/linkseal/linux/xsk"
)

// socket is one queue of the port: an xsk.Socket or a packet.Socket, which
// say what each does.
type socket interface {
	FD() int
	Buffer() []byte
	Queue(offset, n int)
	Send() error
	Pending() bool
	Left() int
	WaitSend(time.Duration) error
	Receive(frames [][]byte) int
	Release()
	Overruns() uint64
	Close() error
}

// ports are the port's queues.
type ports struct {
	sockets []socket
	senders int // how many of them, from the first on, have a queue to send by
	parent  int
	// filter is what feeds the sockets by XDP; nil with packet sockets. It is
	// another one when the filter was taken away and set again.
	filter atomic.Pointer[bpf.Sockets]
	how    string
}

const (
	etherLen = 14
	// maxQueues is how many the filter has room for.
	maxQueues = 64
	// macsec is the EtherType.
	macsec = 0x88E5
)

// openPorts opens what serves best: AF_XDP where the must filter feeds it and
// frames fit, else a packet socket.
func openPorts(o Options, parent link.Link, queues link.Queues) (*ports, error) {
	p, why := openXDP(o, parent, queues)
	if why == nil {
		return p, nil
	}
	// In front of a short SecTAG a part of the headroom stays unused.
	opts := packet.Options{EtherType: macsec, Frame: parent.MTU + etherLen + softsecy.Headroom}
	if o.SecY.Should {
		// Clear frames may be wanted too; the SecY says when.
		opts.EtherType, opts.Except = 0, o.EAPOL
	}
	s, err := packet.Open(o.Parent, opts)
	if err != nil {
		return nil, errors.Join(why, err)
	}
	return &ports{sockets: []socket{s}, senders: 1, how: fmt.Sprintf("packet socket (%v)", why)}, nil
}

// openXDP opens a socket for each RX queue: a frame of a queue without one
// would pass to the stack, which has no use for it.
func openXDP(o Options, parent link.Link, queues link.Queues) (p *ports, err error) {
	if o.SecY.Should {
		return nil, errors.New("no AF_XDP: secure: should has no filter that would feed it")
	}
	if n := parent.MTU + etherLen; n > xsk.MaxFrame {
		return nil, fmt.Errorf("no AF_XDP: frames of %d octets do not fit into its %d", n, xsk.MaxFrame)
	}
	p = &ports{parent: o.Parent, senders: queues.Tx}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	zero := 0
	for i := range queues.Rx {
		if i == maxQueues {
			return p, fmt.Errorf("no AF_XDP: the device may have more than the %d queues that the filter has room for", maxQueues)
		}
		s, err := xsk.Open(o.Parent, xsk.Options{Queue: i, Frame: parent.MTU + etherLen, Queues: queues.Rx, Admit: bpf.Admit})
		if errors.Is(err, xsk.ErrNoQueue) && i > 0 {
			break // the device has room for more queues than it uses
		}
		if err != nil {
			return p, err
		}
		p.sockets = append(p.sockets, s)
		if s.ZeroCopy() {
			zero++
		}
	}
	if err := p.feed(); err != nil {
		return p, fmt.Errorf("no AF_XDP: %w", err)
	}
	p.how = fmt.Sprintf("AF_XDP, %d queues, zero-copy on %d", len(p.sockets), zero)
	return p, nil
}

// feed has the filter hand its frames to the sockets.
func (p *ports) feed() error {
	f, err := bpf.OpenSockets(p.parent)
	if err != nil {
		return err
	}
	old := p.filter.Load()
	if old != nil && old.Same(f) {
		return f.Close() // the sockets are in it still
	}
	for i, s := range p.sockets {
		if err := f.Put(i, s.FD()); err != nil {
			return errors.Join(err, f.Close()) // the next time it is another filter still
		}
	}
	p.filter.Store(f)
	if old != nil {
		return old.Close()
	}
	return nil
}

// orderly is the replay window, in packets, from which on several workers may
// send out of the order of PNs: a worker may lose its processor between taking
// PNs and sending, on a busy machine for a tenth of a second, in which the others
// send up to 10 million frames a second.
const orderly = 1 << 20

// workers is how many share the queues. What a socket sends goes to the TX queue
// with the number of its RX queue, which the device has to have: the kernel does
// not look.
func (p *ports) workers(window *uint32) int {
	if window != nil && *window < orderly {
		return 1
	}
	return min(len(p.sockets), p.senders, processors())
}

// of are the queues of worker i of n.
func (p *ports) of(i, n int) (mine []socket) {
	for ; i < len(p.sockets); i += n {
		mine = append(mine, p.sockets[i])
	}
	return mine
}

// overruns is what the queues lost for want of room.
func (p *ports) overruns() (n uint64) {
	for _, s := range p.sockets {
		n += s.Overruns()
	}
	return n
}

// sent counts frames that pass tc by for the filter.
func (p *ports) sent(b bpf.Batch) {
	if f := p.filter.Load(); f != nil {
		f.Sent(b)
	}
}

// Close closes the queues.
func (p *ports) Close() error {
	var err error
	for _, s := range p.sockets {
		err = errors.Join(err, s.Close())
	}
	if f := p.filter.Swap(nil); f != nil {
		err = errors.Join(err, f.Close())
	}
	p.sockets = nil
	return err
}
