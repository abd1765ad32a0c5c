package inspect

import (
	"encoding/binary"
	"io"
	"math"
)

// Types of pcapng blocks, and the option that gopacket does not tell.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	optionFCSLen   = 13 // if_fcslen
	// maxInterface is the longest interface block that is looked into.
	maxInterface = 1 << 16
)

// fcsReader reads a pcapng file for another reader and notes the length of the
// frames' FCS on each interface. It is ahead of the other, never behind.
type fcsReader struct {
	io.Reader
	sections [][]int // octets of FCS by section and interface
	ignored  bool    // a section of a version that the other reader skips

	order binary.ByteOrder
	block []byte // the beginning of the block under way
	need  int    // how much of it is wanted
	skip  int64  // octets until the next block
}

func newFCSReader(r io.Reader) *fcsReader {
	return &fcsReader{Reader: r, order: binary.LittleEndian, need: 12}
}

func (f *fcsReader) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	f.see(p[:n])
	return n, err
}

// of is the FCS's length on an interface, both counted from 0.
func (f *fcsReader) of(section, iface int) int {
	if section >= len(f.sections) || iface < 0 || iface >= len(f.sections[section]) {
		return 0
	}
	return f.sections[section][iface]
}

func (f *fcsReader) see(b []byte) {
	for len(b) > 0 {
		n := int(min(f.skip, int64(len(b))))
		f.skip -= int64(n)
		b = b[n:]
		n = min(f.need-len(f.block), len(b))
		f.block = append(f.block, b[:n]...)
		if b = b[n:]; len(f.block) == f.need {
			f.step()
		}
	}
}

// step looks at a block of which as much is there as was wanted.
func (f *fcsReader) step() {
	kind := f.order.Uint32(f.block)
	if kind == blockSection && binary.BigEndian.Uint32(f.block[8:]) == 0x1A2B3C4D {
		f.order = binary.BigEndian
	} else if kind == blockSection {
		f.order = binary.LittleEndian
	}
	length := f.order.Uint32(f.block[4:])
	switch {
	case length < 12: // no pcapng: the other reader reports it
		f.skip, f.block = math.MaxInt64, nil
		return
	case kind == blockSection && f.need < 16:
		f.need = 16
		return
	case kind == blockSection:
		f.ignored = f.order.Uint16(f.block[12:]) != 1 || f.order.Uint16(f.block[14:]) != 0
		if !f.ignored {
			f.sections = append(f.sections, nil)
		}
	case kind == blockInterface && len(f.block) < int(min(length, maxInterface)):
		f.need = int(min(length, maxInterface))
		return
	case kind == blockInterface && len(f.sections) > 0 && !f.ignored:
		last := &f.sections[len(f.sections)-1]
		*last = append(*last, f.interfaceFCS(f.block[8:len(f.block)-4]))
	}
	f.skip = max(int64(length)-int64(len(f.block)), 0)
	f.block, f.need = f.block[:0], 12
}

// interfaceFCS reads if_fcslen from an interface block's body.
func (f *fcsReader) interfaceFCS(body []byte) int {
	for b := body[min(8, len(body)):]; len(b) >= 4; {
		code, n := f.order.Uint16(b), int(f.order.Uint16(b[2:]))
		b = b[4:]
		if code == 0 || n > len(b) {
			return 0
		}
		if code == optionFCSLen && n == 1 {
			// The specification says bits, its example and many files mean
			// octets.
			if b[0] >= 8 {
				return int(b[0] / 8)
			}
			return int(b[0])
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return 0
}
