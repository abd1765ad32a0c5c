package inspect

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
)

// cuts are the frames that the snap length left without what would prove
// them: nothing is concluded from them but that they are there.
type cuts struct {
	mka     map[string]int // MKPDUs by CKN, empty where that was cut too
	macsec  int
	unknown int // what they are was cut
	most    int // octets that were captured of one of them
}

// whole is how much of a frame the capture has.
type whole uint8

const (
	entire  whole = iota
	snapped       // cut by the snap length
	torn          // cut by the end of the file
)

// cutMKA notes an MKPDU whose body was cut. What is left may still tell who
// speaks under which CKN.
func (in *Inspector) cutMKA(r *Record, data []byte, w whole) {
	p := &in.pdu
	head := cutHead(data)
	if head == nil || mkpdu.Parse(head, p) != nil {
		*p = mkpdu.PDU{}
	}
	r.MKA = describe(p)
	r.MKA.ICV, r.MKA.cut = ICVUnknownCKN, true
	if len(p.CKN) == 0 {
		r.MKA.SCI, r.MKA.MI = "", ""
	}
	if w != snapped {
		return
	}
	in.cut.most = max(in.cut.most, len(data))
	name := string(p.CKN)
	if _, known := in.cut.mka[name]; known || len(in.cut.mka) < maxTallies {
		in.cut.mka[name]++
	}
}

// cutUnknown notes a frame that was cut before it tells whether it is MKA.
func (in *Inspector) cutUnknown(data []byte, w whole) {
	if w == snapped {
		in.cut.unknown++
		in.cut.most = max(in.cut.most, len(data))
	}
}

// cutHead is an MKPDU of the first parameter set of data, whose ICV says
// nothing; nil if that set was cut.
func cutHead(data []byte) []byte {
	const set, icv = 18, mkpdu.ICVLen // where the set begins; the ICV's octets
	if len(data) < set+4 {
		return nil
	}
	body := int(binary.BigEndian.Uint16(data[set+2:]) & 0xfff)
	end := set + 4 + (body+3)&^3
	if len(data) < end {
		return nil
	}
	head := append(slices.Clone(data[:end]), make([]byte, icv)...)
	binary.BigEndian.PutUint16(head[16:], uint16(len(head)-set))
	return head
}

// judgeCuts says how much could not be judged.
func (in *Inspector) judgeCuts() (lines []string) {
	mka := 0
	for _, name := range slices.Sorted(maps.Keys(in.cut.mka)) {
		mka += in.cut.mka[name]
		if name != "" && in.ckns[name] == nil {
			lines = append(lines, fmt.Sprintf("CKN %x: not known: all its MKPDUs were cut by the snap length", name))
		}
	}
	n := mka + in.cut.macsec + in.cut.unknown
	if n == 0 {
		return nil
	}
	var parts []string
	for _, k := range []struct {
		n    int
		what string
	}{{mka, "MKA"}, {in.cut.macsec, "MACsec"}, {in.cut.unknown, "of unknown kind"}} {
		if k.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k.n, k.what))
		}
	}
	return append(lines, fmt.Sprintf("%s cut by the snap length, to %d octets at the most, and cannot be judged (%s); capture whole frames, as tcpdump -s 0 does",
		were(n, "frame"), in.cut.most, strings.Join(parts, ", ")))
}
