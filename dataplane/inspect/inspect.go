// Package inspect explains captured traffic of a MACsec port: the MKPDUs with
// what they say, the SAKs that they distribute, the MACsec frames under them,
// and at the end why the link is up or down. It reads once and in order, as a
// capture tool delivers: a frame seen before its SAK is not decrypted.
//
// Of tunnels it tells ESP, IKE and WireGuard by their outer headers, without
// keys: SAs and sessions, gaps in their numbers, and what IP is in clear beside
// them. What is inside a decrypted MACsec frame is not looked at.
package inspect

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// eapolEtherType is EAPOL's (802.1X 11.1.4), unless configured otherwise.
const eapolEtherType = 0x888E

// CAK is a pairwise key that the caller knows. One CKN may come with several
// CAKs: then the verdict says which end has which.
type CAK struct {
	CKN []byte
	CAK *secret.Key
}

// SAK is a key for frames whose MKPDUs are not at hand.
type SAK struct {
	SAK   *secret.Key
	Suite sa.Suite
	// SCI is of the frames that do not carry one; zero if not known.
	SCI sa.SCI
	// Salt, SSCI and PNHigh are for the XPN suites. SSCI 0 is not known, and
	// small ones are tried. PNHigh is the high 32 bits of the first PN.
	Salt   [12]byte
	SSCI   uint32
	PNHigh uint32
}

// Options is what an Inspector knows beforehand.
type Options struct {
	CAKs []CAK
	SAKs []SAK
	// ShowKeys has records carry SAKs and decrypted frames.
	ShowKeys bool
	// EtherType is EAPOL's where it is not 0x888E, which is always known.
	EtherType uint16
}

// Inspector explains frames one after the other. One goroutine at a time.
type Inspector struct {
	showKeys  bool
	etherType uint16

	frames int
	last   time.Time // of the latest frame

	cas     []*ca             // in the order of Options.CAKs
	ckns    map[string]*ckn   // what was said under each CKN, known or not
	order   []*ckn            // ckns in the order of appearance
	bare    []*sak            // of Options.SAKs
	macsec  map[sa.SCI]*tally // MACsec frames by the SCI that they tell
	clear   map[uint16]int    // other frames by EtherType
	total   tally
	mka     int // MKPDUs, also malformed and cut ones
	cut     cuts
	tunnels tunnels

	pdu     mkpdu.PDU
	mpdu    softsecy.MPDU
	noVLANs []byte // scratch: a frame without its VLAN tags
	opened  []byte // scratch: a decrypted frame
}

// tally counts MACsec frames by how their validation ended.
type tally struct{ ok, bad, noKey, cut int }

func (t *tally) add(icv string, cut bool) {
	switch {
	case cut:
		t.cut++
	case icv == ICVOK:
		t.ok++
	case icv == ICVBad:
		t.bad++
	default:
		t.noKey++
	}
}

// New returns an Inspector. It keeps no reference to the keys of o. The error
// names the key that cannot be used and why.
func New(o Options) (*Inspector, error) {
	in := &Inspector{
		showKeys: o.ShowKeys, etherType: o.EtherType,
		ckns: map[string]*ckn{}, macsec: map[sa.SCI]*tally{}, clear: map[uint16]int{},
		cut: cuts{mka: map[string]int{}}, tunnels: newTunnels(),
	}
	for _, c := range o.CAKs {
		a, err := newCA(c)
		if err != nil {
			return nil, fmt.Errorf("CKN %x: %w", c.CKN, err)
		}
		in.cas = append(in.cas, a)
	}
	for _, s := range o.SAKs {
		k, err := newBareSAK(s)
		if err != nil {
			return nil, err
		}
		in.bare = append(in.bare, k)
	}
	return in, nil
}

// Close zeroes the keys. The Inspector explains no more frames.
func (in *Inspector) Close() {
	for _, a := range in.cas {
		a.kek.Zero()
	}
	clear(in.opened[:cap(in.opened)])
	in.cas, in.bare = nil, nil
}

// ca is a connectivity association: a CAK under its CKN, the members that
// proved to have it, and the SAKs that they distributed.
type ca struct {
	ckn  string // the octets
	ick  *kdf.CMAC
	kek  *secret.Key
	sci  map[sa.MI]sa.SCI // every member's, former MIs included
	saks [4][]*sak        // by AN, the latest first
}

func newCA(c CAK) (*ca, error) {
	ick, err := kdf.ICK(c.CAK, c.CKN)
	if err != nil {
		return nil, err
	}
	defer ick.Zero()
	mac, err := kdf.NewCMAC(ick.Bytes())
	if err != nil {
		return nil, err
	}
	kek, err := kdf.KEK(c.CAK, c.CKN)
	if err != nil {
		return nil, err
	}
	return &ca{ckn: string(c.CKN), ick: mac, kek: kek, sci: map[sa.MI]sa.SCI{}}, nil
}

// isMember tells whether sci announced itself under the CAK.
func (a *ca) isMember(sci sa.SCI) bool {
	for _, s := range a.sci {
		if s == sci {
			return true
		}
	}
	return false
}

// Frame explains one Ethernet frame without FCS, captured at ts. length is
// what it had on the wire: more than len(data) if the capture cut it. The
// Record keeps nothing of data.
func (in *Inspector) Frame(ts time.Time, data []byte, length int) Record {
	w := entire
	if len(data) < length {
		w = snapped
	}
	return in.frame(ts, data, length, w)
}

func (in *Inspector) frame(ts time.Time, data []byte, length int, w whole) Record {
	in.frames++
	r := Record{Frame: in.frames, Time: in.at(ts)}
	switch w {
	case snapped:
		r.Error = fmt.Sprintf("the capture has %d of the frame's %d octets; capture with a greater snap length", len(data), length)
	case torn:
		r.Error = fmt.Sprintf("%v, with %d of its %d octets", ErrCutShort, len(data), length)
	}
	if len(data) < 14 {
		r.Kind, r.Clear = KindClear, &Clear{}
		in.cutUnknown(data, w)
		if r.Error == "" {
			r.Error = fmt.Sprintf("frame of %d octets has no Ethernet header", len(data))
		}
		return r
	}
	copy(r.dst[:], data)
	copy(r.src[:], data[6:])
	r.hasMAC = true
	vlans := softsecy.VLANsLen(data)
	for at := 12; at < 12+vlans; at += 4 {
		r.VLANs = append(r.VLANs, newVLAN(data[at:]))
	}
	etherType := binary.BigEndian.Uint16(data[12+vlans:])
	isEAPOL := etherType == eapolEtherType || in.etherType != 0 && etherType == in.etherType
	switch {
	case etherType == softsecy.EtherType:
		r.Kind = KindMACsec
		in.frameMACsec(&r, data, length, w)
	case isEAPOL && len(data) >= 16+vlans && data[15+vlans] == mkpdu.EAPOLType:
		r.Kind = KindMKA
		in.mka++
		if vlans > 0 {
			in.noVLANs = append(append(in.noVLANs[:0], data[:12]...), data[12+vlans:]...)
			data = in.noVLANs
		}
		in.frameMKA(&r, data, w)
	default:
		if isEAPOL && len(data) < 16+vlans || len(data) < 18+vlans && slices.Contains(vlanTypes, etherType) {
			in.cutUnknown(data, w) // it may be MKA
		}
		r.Kind, r.Clear = KindClear, &Clear{EtherType: fmt.Sprintf("0x%04x", etherType)}
		in.frameTunnel(&r, etherType, data[min(len(data), 14+vlans):], w)
		if r.Kind == KindClear {
			in.countClear(etherType)
		} else {
			r.Clear = nil
		}
	}
	return r
}

// vlanTypes are the EtherTypes of what softsecy.VLANsLen counts.
var vlanTypes = []uint16{0x8100, 0x88a8, 0x9100}

// at notes the time: a capture of several interfaces is not always in order.
// It gives the zero time for one that RFC 3339 and so JSON cannot write.
func (in *Inspector) at(ts time.Time) time.Time {
	if y := ts.UTC().Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	if ts.After(in.last) {
		in.last = ts
	}
	return ts.UTC()
}

// maxTallies bounds what hostile captures can make the Inspector hold: beyond
// it, another CKN, SCI or EtherType is explained, but is not in the verdict.
const maxTallies = 1024

func (in *Inspector) countClear(etherType uint16) {
	if etherType < 0x0600 {
		etherType = 0 // a length: LLC
	}
	if _, known := in.clear[etherType]; known || len(in.clear) < maxTallies {
		in.clear[etherType]++
	}
}
