package tpm

import (
	"encoding/binary"
	"fmt"
)

// blob is a sealed object and what is needed to load and understand it,
// big-endian: version u8, then primary's name, public area and private area,
// each u16 of length and the octets, then u8 of PCRs, each u8 of index and
// pcrSize octets of the value that it had.
type blob struct {
	primary         []byte
	public, private []byte // contents of TPM2B_PUBLIC and TPM2B_PRIVATE
	pcrs            []pcr
}

const (
	blobVersion = 1
	maxPart     = 2048
)

func (b *blob) append(to []byte) []byte {
	to = append(to, blobVersion)
	for _, part := range [][]byte{b.primary, b.public, b.private} {
		to = append(binary.BigEndian.AppendUint16(to, uint16(len(part))), part...)
	}
	to = append(to, byte(len(b.pcrs)))
	for _, p := range b.pcrs {
		to = append(append(to, byte(p.index)), p.value[:]...)
	}
	return to
}

// parseBlob is the inverse; the parts are b's own.
func parseBlob(b []byte) (*blob, error) {
	if len(b) == 0 || b[0] != blobVersion {
		return nil, fmt.Errorf("not a blob of version %d", blobVersion)
	}
	b = b[1:]
	out := &blob{}
	for _, part := range []*[]byte{&out.primary, &out.public, &out.private} {
		if len(b) < 2 {
			return nil, fmt.Errorf("a blob that ends early")
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) || n == 0 || n > maxPart {
			return nil, fmt.Errorf("a part of %d octets in a blob with %d left", n, len(b))
		}
		*part, b = b[:n:n], b[n:]
	}
	if len(b) == 0 || int(b[0]) > PCRs || len(b) != 1+int(b[0])*(1+pcrSize) {
		return nil, fmt.Errorf("a blob with %d octets for its PCRs", len(b))
	}
	for b = b[1:]; len(b) > 0; b = b[1+pcrSize:] {
		p := pcr{index: int(b[0])}
		if p.index >= PCRs || len(out.pcrs) > 0 && p.index <= out.pcrs[len(out.pcrs)-1].index {
			return nil, fmt.Errorf("a blob with PCR %d out of order", p.index)
		}
		copy(p.value[:], b[1:])
		out.pcrs = append(out.pcrs, p)
	}
	return out, nil
}
