package gso

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	// maxIP is the most that IPv4's total length can tell. IPv6 packets stop
	// there too.
	maxIP = 65535
	// maxUDP is how many datagrams Linux takes in one packet
	// (UDP_MAX_SEGMENTS of linux/udp.h before 6.9).
	maxUDP = 64
	// maxTCP keeps a packet's pieces under the 1024 of writev.
	maxTCP = 256
)

// CoalescerOptions fits a Coalescer to its tap.
type CoalescerOptions struct {
	// UDP: the tap takes UDP super-packets (TUN_F_USO4 and TUN_F_USO6).
	UDP bool
	// Frames is the size of the batches to make room for; 0: 256. A batch may
	// be larger, and then costs allocations once.
	Frames int
}

// Coalescer joins frames of one batch into super-packets, by the rules of
// Linux's GRO: what the host gets is what arrived, octet for octet, and in each
// flow in the order in which it arrived. A frame is joined only if its own
// checksums are right; a packet of one frame is the frame unchanged.
//
// One exception: TCP with DF whose IPv4 ID stays the same is joined, as Linux
// does, and a host that cuts it again counts the ID up, which means nothing
// under DF (RFC 6864, 4.1).
type Coalescer struct {
	udp     bool
	open    table
	packets []packet
	frames  []piece
	// What Packets gives out.
	headers []byte
	pieces  [][]byte
	out     [][][]byte
}

// packet is one packet for the tap.
type packet struct {
	frame []byte // the first
	at    layout
	// verified: its frames have right TCP or UDP checksums.
	verified bool
	// fixedID: the IPv4 ID stays the same. It is decided by the second frame.
	fixedID bool
	flags   byte   // FIN and PSH of the last frame
	next    uint32 // TCP's next sequence number
	frames  int
	size    int // payload of the first frame
	payload int // of all
	// head and tail are indices in Coalescer.frames of what was joined to the
	// first frame; they mean nothing while frames is 1.
	head, tail int32
}

// piece is the payload of a frame that was joined.
type piece struct {
	payload []byte
	next    int32
}

// NewCoalescer makes an empty one.
func NewCoalescer(o CoalescerOptions) *Coalescer {
	if o.Frames <= 0 {
		o.Frames = 256
	}
	return &Coalescer{
		udp:     o.UDP,
		open:    newTable(2 * o.Frames),
		packets: make([]packet, 0, o.Frames),
		frames:  make([]piece, 0, o.Frames),
		headers: make([]byte, 0, o.Frames*HeaderLen),
		pieces:  make([][]byte, 0, 2*o.Frames),
		out:     make([][][]byte, 0, o.Frames),
	}
}

// Add takes a finished Ethernet frame. Its memory must stay valid until Reset,
// and Packets changes headers in it.
func (c *Coalescer) Add(frame []byte) {
	p := packet{frame: frame, frames: 1}
	switch err := p.at.parse(frame); {
	case err == errNotIP || err == nil && p.at.payload == 0:
		// Neither TCP nor UDP: of no flow that has an open packet.
		c.packets = append(c.packets, p)
		return
	case err != nil:
		// It could be of any flow: a fragment does not tell.
		c.open.clear()
		c.packets = append(c.packets, p)
		return
	}
	may := p.judge(c.udp)
	f := flowOf(frame, &p.at)
	s, found := c.open.find(&f)
	if found && may != alone && c.packets[s.packet].takes(&p) {
		full := c.join(&c.packets[s.packet], &p)
		if full || may == end {
			s.round = 0
		}
		return
	}
	if may == join {
		*s = slot{flow: f, round: c.open.round, packet: int32(len(c.packets))}
	} else if found {
		s.round = 0
	}
	c.packets = append(c.packets, p)
}

// What a frame may be in a super-packet.
type role uint8

const (
	alone role = iota
	end        // its last
	join       // any
)

// judge tells what the frame may be, whatever came before, and fills in what
// its packet has to know.
func (p *packet) judge(udp bool) role {
	l := &p.at
	h := p.frame[l.l4:l.payload]
	p.size = l.end - l.payload
	p.payload = p.size
	if l.proto == protoUDP {
		// Without a super-packet to go into, its checksum is the host's affair.
		if !udp || int(binary.BigEndian.Uint16(h[4:])) != l.end-l.l4 || h[6]|h[7] == 0 {
			return alone
		}
	}
	p.verified = verify(p.frame, l)
	if !p.verified || !l.plain() || p.size == 0 {
		return alone
	}
	if l.proto == protoUDP {
		return join
	}
	p.next = binary.BigEndian.Uint32(h[4:]) + uint32(p.size)
	p.flags = h[13] & (tcpFIN | tcpPSH)
	switch {
	case h[13]&(tcpACK|tcpSYN|tcpRST|tcpURG) != tcpACK:
		return alone
	case p.flags != 0:
		return end
	}
	return join
}

// verify tells whether IPv4's header checksum and TCP's or UDP's are right.
func verify(frame []byte, l *layout) bool {
	if !l.v6 && fold(sum(frame[l.l3:l.l4])) != 0xffff {
		return false
	}
	return fold(l.pseudo(frame, l.end-l.l4)+sum(frame[l.l4:l.end])) == 0xffff
}

// takes tells whether q, of the same flow and no frame to be left alone, goes
// on where p ends (tcp_gro_receive, udp_gro_receive_segment and
// gro_receive_network_flush of Linux).
func (p *packet) takes(q *packet) bool {
	a, b := p.frame, q.frame
	l := &p.at
	if l.l3 != q.at.l3 || l.payload != q.at.payload || !bytes.Equal(a[:l.l3], b[:l.l3]) {
		return false
	}
	if q.size > p.size || l.payload-l.l3+p.payload+q.size > maxIP {
		return false
	}
	x, y := a[l.l3:l.payload], b[l.l3:l.payload]
	if l.v6 {
		// Version, traffic class and flow label; hop limit.
		if !bytes.Equal(x[:4], y[:4]) || x[7] != y[7] {
			return false
		}
		x, y = x[ipv6Len:], y[ipv6Len:]
	} else {
		// TOS; DF; TTL.
		if x[1] != y[1] || x[6] != y[6] || x[8] != y[8] || !p.follows(x, y) {
			return false
		}
		x, y = x[ipv4Len:], y[ipv4Len:]
	}
	if l.proto == protoUDP {
		return true
	}
	// Acknowledgement; data offset and flags; window; urgent pointer, options.
	return p.next == q.next-uint32(q.size) &&
		bytes.Equal(x[8:13], y[8:13]) &&
		(x[13]^y[13])&^(tcpFIN|tcpPSH|tcpCWR) == 0 && y[13]&tcpCWR == 0 &&
		bytes.Equal(x[14:16], y[14:16]) &&
		bytes.Equal(x[18:], y[18:])
}

// follows tells whether the ID in the IPv4 header y is next after that of x,
// p's first: counted up, or under DF always the same.
func (p *packet) follows(x, y []byte) bool {
	if d := ipID(y) - ipID(x); d != 0 {
		return int(d) == p.frames && !p.fixedID
	}
	return x[6]&0x40 != 0 && (p.frames == 1 || p.fixedID)
}

// ipID is the identification of an IPv4 header.
func ipID(ip []byte) uint16 { return binary.BigEndian.Uint16(ip[4:]) }

// join puts q's payload at p's end, and tells whether that ends p.
func (c *Coalescer) join(p, q *packet) (full bool) {
	i := int32(len(c.frames))
	c.frames = append(c.frames, piece{payload: q.frame[q.at.payload:q.at.end]})
	if p.frames == 1 {
		p.head = i
		p.fixedID = !p.at.v6 && ipID(p.frame[p.at.l3:]) == ipID(q.frame[q.at.l3:])
	} else {
		c.frames[p.tail].next = i
	}
	p.tail = i
	p.frames++
	p.payload += q.size
	p.next, p.flags = q.next, q.flags
	most := maxTCP
	if p.at.proto == protoUDP {
		most = maxUDP
	}
	return q.size < p.size || p.frames == most
}

// Packets gives what is to be written to the tap, in the order in which the
// packets began. Each is a list of pieces for writev, the first a
// virtio_net_hdr. They are valid until Reset, which is due before the next
// batch.
func (c *Coalescer) Packets() [][][]byte {
	c.open.clear()
	// Room first: what is given out must not move.
	c.headers = slices.Grow(c.headers[:0], len(c.packets)*HeaderLen)
	c.pieces = slices.Grow(c.pieces[:0], 2*len(c.packets)+len(c.frames))
	c.out = slices.Grow(c.out[:0], len(c.packets))
	for i := range c.packets {
		p := &c.packets[i]
		var h Header
		from := len(c.pieces)
		c.headers = c.headers[:len(c.headers)+HeaderLen]
		b := c.headers[len(c.headers)-HeaderLen:]
		if p.frames == 1 {
			if p.verified {
				h.Flags = DataValid
			}
			c.pieces = append(c.pieces, b, p.frame)
		} else {
			h = p.finish()
			c.pieces = append(c.pieces, b, p.frame[:p.at.end])
			for j, n := p.head, p.frames-1; n > 0; j, n = c.frames[j].next, n-1 {
				c.pieces = append(c.pieces, c.frames[j].payload)
			}
		}
		h.Encode(b)
		c.out = append(c.out, c.pieces[from:len(c.pieces):len(c.pieces)])
	}
	return c.out
}

// finish makes the first frame's headers those of the whole packet.
func (p *packet) finish() Header {
	l := &p.at
	h := Header{
		Flags: NeedsCsum, Type: TCPv4, HdrLen: uint16(l.payload), Size: uint16(p.size),
		CsumStart: uint16(l.l4), CsumOffset: tcpCsum,
	}
	n := l.payload - l.l4 + p.payload // from TCP's or UDP's header on
	ip, l4 := p.frame[l.l3:l.l4], p.frame[l.l4:l.payload]
	if l.v6 {
		h.Type = TCPv6
		binary.BigEndian.PutUint16(ip[4:], uint16(n))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(ipv4Len+n))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip)))
	}
	if l.proto == protoUDP {
		h.Type, h.CsumOffset = UDPL4, udpCsum
		binary.BigEndian.PutUint16(l4[4:], uint16(n))
	} else {
		l4[13] |= p.flags
		if l4[13]&tcpCWR != 0 {
			h.Type |= ECN
		}
	}
	binary.BigEndian.PutUint16(l4[h.CsumOffset:], fold(l.pseudo(p.frame, n)))
	return h
}

// Reset forgets the batch. What Packets gave is no longer valid.
func (c *Coalescer) Reset() {
	c.open.clear()
	// The frames' memory is the caller's again; hold no reference to it.
	clear(c.packets)
	clear(c.frames)
	clear(c.pieces)
	c.packets, c.frames, c.pieces, c.out = c.packets[:0], c.frames[:0], c.pieces[:0], c.out[:0]
}
