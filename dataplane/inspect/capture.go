package inspect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Capture reads the packets of a pcap or pcapng file, gzip compressed or not.
type Capture struct {
	read     func() (packet, error)
	linkType layers.LinkType // of a pcap file; a pcapng packet says its own

	in     *counter
	at     int64 // pcap: where the next packet's header starts
	isPcap bool
	done   bool
}

// packet is one as the file has it.
type packet struct {
	data []byte
	info gopacket.CaptureInfo
	fcs  int // octets of FCS at its end
}

// Packet is one captured packet.
type Packet struct {
	Time time.Time
	Data []byte // good until the next packet is read
	// Length is what it had on the wire.
	Length int
	// Err is why Data is no Ethernet frame, or not all that the file
	// promised; nil otherwise.
	Err error
}

// ErrCutShort says that a file ends inside a packet.
var ErrCutShort = errors.New("the file ends inside this packet: the capture was cut short")

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// NewCapture reads the file's header. The error says what the file is not, or
// that its link type has no Ethernet addresses.
func NewCapture(r io.Reader) (*Capture, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		b = bufio.NewReader(z)
	}
	head, err := b.Peek(24)
	if len(head) < 24 {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, fmt.Errorf("%d octets are no pcap or pcapng file", len(head))
	}
	c := &Capture{in: &counter{r: b}, at: 24}
	switch order := binary.ByteOrder(binary.LittleEndian); binary.BigEndian.Uint32(head) {
	case 0x0A0D0D0A:
		section, fcs := 0, newFCSReader(b)
		ng, err := pcapgo.NewNgReader(fcs, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true,
			SectionEndCallback: func([]pcapgo.NgInterface, pcapgo.NgSectionInfo) { section++ }})
		if err != nil {
			return nil, fmt.Errorf("pcapng: %w", err)
		}
		c.read = func() (p packet, err error) {
			var o pcapgo.NgPacketOptions
			p.data, p.info, o, err = ng.ZeroCopyReadPacketDataWithOptions()
			p.fcs = fcs.of(section, p.info.InterfaceIndex)
			if o.Flags != nil && o.Flags.FCSLen != 0 {
				p.fcs = int(o.Flags.ToUint32() >> 5 & 0xf) // epb_flags, bits 5 to 8
			}
			return p, err
		}
		return c, nil
	case 0xA1B2C3D4, 0xA1B23C4D:
		order = binary.BigEndian
		fallthrough
	case 0xD4C3B2A1, 0x4D3CB2A1:
		// The link type has 16 bits; above them the FCS's length in words of
		// 16 bits, if it is known (pcap-savefile).
		word := order.Uint32(head[20:])
		c.linkType, c.isPcap = layers.LinkType(word), true
		fcs := 0
		if word&0x04000000 != 0 {
			fcs = int(word>>28) * 2
		}
		if err := ethernet(c.linkType); err != nil {
			return nil, err
		}
		p, err := pcapgo.NewReader(c.in)
		if err != nil {
			return nil, fmt.Errorf("pcap: %w", err)
		}
		c.read = func() (packet, error) {
			data, info, err := p.ZeroCopyReadPacketData()
			return packet{data, info, fcs}, err
		}
		return c, nil
	}
	return nil, fmt.Errorf("no pcap or pcapng file: it starts with %x", head[:4])
}

// ethernet says why frames of a link type cannot be explained.
func ethernet(t layers.LinkType) error {
	switch t {
	case layers.LinkTypeEthernet:
		return nil
	case layers.LinkTypeLinuxSLL, 276:
		return fmt.Errorf("link type %d (Linux cooked) has no destination address, without which no ICV can be verified; capture on the port itself, not on \"any\"", t)
	}
	return fmt.Errorf("link type %d (%v) is not Ethernet; capture on the port itself", t, t)
}

// Next gives the next packet, io.EOF after the last. Where the file ends
// inside a packet, that packet is given with what there is of it and Err
// ErrCutShort, and then io.ErrUnexpectedEOF. Any other error ends the file
// too: what follows cannot be found.
func (c *Capture) Next() (Packet, error) {
	if c.done {
		return Packet{}, io.ErrUnexpectedEOF
	}
	got, err := c.read()
	data, info := got.data, got.info
	p := Packet{Time: info.Timestamp, Data: data, Length: info.Length}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && (!c.isPcap || c.in.n <= c.at):
		return Packet{}, io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.done = true
		p.Err = ErrCutShort
		// The reader does not tell how much of the packet it got.
		there := 0
		if c.isPcap {
			there = int(max(c.in.n-c.at-16, 0))
		}
		p.Data = data[:min(there, len(data))]
		return p, nil
	default:
		return Packet{}, err
	}
	c.at += 16 + int64(info.CaptureLength)
	if len(info.AncillaryData) > 0 {
		if t, ok := info.AncillaryData[0].(layers.LinkType); ok {
			p.Err = ethernet(t)
		}
	}
	if got.fcs > 0 && p.Length >= got.fcs {
		p.Length -= got.fcs
		p.Data = p.Data[:min(len(p.Data), p.Length)]
	}
	return p, nil
}

// Packet explains a packet of a capture: Frame, or the record of one that
// cannot be explained.
func (in *Inspector) Packet(p Packet) Record {
	if p.Err != nil && !errors.Is(p.Err, ErrCutShort) {
		in.frames++
		return Record{Frame: in.frames, Time: in.at(p.Time), Kind: KindClear, Clear: &Clear{}, Error: p.Err.Error()}
	}
	if p.Err != nil {
		return in.frame(p.Time, p.Data, p.Length, torn)
	}
	return in.Frame(p.Time, p.Data, max(p.Length, len(p.Data)))
}
