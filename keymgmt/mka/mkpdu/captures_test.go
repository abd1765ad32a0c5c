package mkpdu

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// octets are hex in testdata.
type octets []byte

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

func (o octets) key() *secret.Key { return secret.New(bytes.Clone(o)) }

type sak struct {
	MI     octets `json:"key_server_mi"`
	KN     uint32
	Cipher octets
	SAK    octets
	Salt   octets
	AN     *uint8
}

// capture is a pcap's part of testdata/keys.json.
type capture struct {
	Keys []struct{ CAK, CKN, KEK, ICK octets }
	SAKs []sak
}

func loadJSON(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// mkpdus reads the EAPOL frames of a pcap.
func mkpdus(t testing.TB, name string) (frames [][]byte) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for {
		frame, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if frame[12] == EtherType>>8 && frame[13] == EtherType&0xff {
			frames = append(frames, frame)
		}
	}
}

// The counts are what tshark finds in each file.
var captured = map[string]int{"psk128": 15, "psk256": 13, "integ": 13, "badcak": 11, "restart": 31, "xpn256": 13, "gcm256": 43}

// Every captured MKPDU is parsed, verified under the one ICK that is its
// sender's, its SAK unwrapped, and encoded again to the same octets.
func TestCaptures(t *testing.T) {
	var file struct{ Captures map[string]capture }
	loadJSON(t, "keys.json", &file)
	if len(file.Captures) != len(captured) {
		t.Errorf("keys for %d captures, want %d", len(file.Captures), len(captured))
	}
	for name, count := range captured {
		t.Run(name, func(t *testing.T) {
			c := file.Captures[name]
			frames := mkpdus(t, name+".pcap")
			if len(frames) != count {
				t.Errorf("%d MKPDUs, want %d", len(frames), count)
			}
			macs := make([]*kdf.CMAC, len(c.Keys))
			for i, k := range c.Keys {
				kek, err1 := kdf.KEK(k.CAK.key(), k.CKN)
				ick, err2 := kdf.ICK(k.CAK.key(), k.CKN)
				mac, err3 := kdf.NewCMAC(ick.Bytes())
				if err := errors.Join(err1, err2, err3); err != nil {
					t.Fatal(err)
				}
				if !kek.Equal(k.KEK.key()) || !ick.Equal(k.ICK.key()) {
					t.Errorf("KEK or ICK of CKN %x differ", k.CKN)
				}
				macs[i] = mac
			}
			senders := make([]int, len(macs)) // MKPDUs by each ICK
			seen := make([]int, len(c.SAKs))  // distributions of each SAK
			for i, frame := range frames {
				var p PDU
				if err := Parse(frame, &p); err != nil {
					t.Errorf("MKPDU %d: %v", i, err)
					continue
				}
				if !bytes.Equal(p.CKN, c.Keys[0].CKN) || p.Dst != GroupAddress || p.SCI.MAC() != p.Src || p.Unknown != 0 {
					t.Errorf("MKPDU %d: CKN %x, to %x, SCI %s from %x, %d unknown sets", i, p.CKN, p.Dst, p.SCI, p.Src, p.Unknown)
				}
				verified := 0
				for k, mac := range macs {
					if mac.Verify(p.Signed, p.ICV) {
						verified++
						senders[k]++
					}
				}
				if verified != 1 {
					t.Errorf("MKPDU %d verifies under %d keys, want 1", i, verified)
				}
				if p.HasDistributed {
					count := 0
					for k, want := range c.SAKs {
						if unwraps(t, &p, c.Keys[0].KEK.key(), want) {
							seen[k]++
							count++
						}
					}
					if count != 1 {
						t.Errorf("MKPDU %d distributes %d of the capture's SAKs", i, count)
					}
				}
				if got := append(Append(nil, &p), p.ICV...); !bytes.Equal(got, frame) || p.Len() != len(frame) {
					t.Errorf("MKPDU %d encoded again, of %d octets:\n%x, want\n%x", i, p.Len(), got, frame)
				}
			}
			for k, n := range senders {
				if n == 0 {
					t.Errorf("no MKPDU under the ICK of %d", k)
				}
			}
			for k, n := range seen {
				if n == 0 {
					t.Errorf("SAK %s/%d is not distributed", hex.EncodeToString(c.SAKs[k].MI), c.SAKs[k].KN)
				}
			}
		})
	}
}

// unwraps tells whether p distributes want.
func unwraps(t *testing.T, p *PDU, kek *secret.Key, want sak) bool {
	t.Helper()
	d := p.Distributed
	if p.MI != sa.MI(want.MI) || d.KN != want.KN {
		return false
	}
	key, err := kdf.Unwrap(kek, d.Wrapped)
	if err != nil {
		t.Error(err)
		return false
	}
	suite, ok := sa.SuiteFromID(d.Suite)
	var id octets
	for i := 56; i >= 0; i -= 8 {
		id = append(id, byte(d.Suite>>i))
	}
	if want.Salt != nil {
		salt := kdf.Salt(sa.KeyID{MI: p.MI, KN: d.KN})
		ok = ok && suite.XPN() && bytes.Equal(salt[:], want.Salt)
	}
	return ok && bytes.Equal(id, want.Cipher) && key.Equal(want.SAK.key()) && key.Len() == suite.KeyLen() &&
		(want.AN == nil || *want.AN == d.AN)
}

// set is a parameter set as testdata/mkpdu.json has it.
type set struct {
	Type         byte
	Len          int
	Octet2       octets
	LLPN, OLPN   uint32
	LatestKI     octets `json:"latest_ki"`
	OldKI        octets `json:"old_ki"`
	KN           uint32
	Cipher       string
	Wrapped, Raw octets
	Peers        []struct {
		MI octets
		MN uint32
	}
}

type vector struct {
	Name                      string
	CAK, CKN, KEK, ICK, Frame octets
	SAK                       *octets `json:"unwrapped_sak"`
	Decoded                   struct {
		EAPOLVersion uint8 `json:"eapol_version"`
		BodyLen      int   `json:"body_len"`
		Version      uint8 `json:"mka_version"`
		Priority     uint8 `json:"ks_priority"`
		KeyServer    uint8 `json:"key_server"`
		Desired      uint8 `json:"macsec_desired"`
		Capability   uint8 `json:"macsec_capability"`
		SCI, MI, CKN octets
		MN           uint32
		Agility      octets `json:"algo"`
		Params       []set
	}
}

func loadVectors(t testing.TB) []vector {
	var file struct{ MKPDU []vector }
	loadJSON(t, "mkpdu.json", &file)
	if len(file.MKPDU) != 9 {
		t.Fatalf("%d MKPDUs in mkpdu.json, want 9", len(file.MKPDU))
	}
	return file.MKPDU
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			var p PDU
			if err := Parse(v.Frame, &p); err != nil {
				t.Fatal(err)
			}
			d := v.Decoded
			bit := map[bool]uint8{true: 1}
			if p.EAPOLVersion != d.EAPOLVersion || len(p.Signed) != 18+d.BodyLen-16 || p.Version != d.Version ||
				p.Priority != d.Priority || bit[p.KeyServer] != d.KeyServer || bit[p.Desired] != d.Desired ||
				p.Capability != d.Capability || p.SCI != sa.SCI(d.SCI) || p.MI != sa.MI(d.MI) || p.MN != d.MN ||
				!bytes.Equal(p.CKN, d.CKN) || p.Agility != 0x0080c201 || p.EtherType != 0x888e {
				t.Errorf("Basic Parameter Set %+v, want %+v", p, d)
			}
			checkSets(t, &p, d.Params)

			ick, err := kdf.ICK(v.CAK.key(), v.CKN)
			if err != nil || !ick.Equal(v.ICK.key()) {
				t.Errorf("ICK differs: %v", err)
			}
			mac, err := kdf.NewCMAC(v.ICK)
			if err != nil || !mac.Verify(p.Signed, p.ICV) {
				t.Errorf("ICV does not verify: %v", err)
			}
			if v.SAK != nil {
				key, err := kdf.Unwrap(v.KEK.key(), p.Distributed.Wrapped)
				if err != nil || !key.Equal(v.SAK.key()) {
					t.Errorf("unwrapped another SAK: %v", err)
				}
			}
			// Two of them have the standard's order of sets, Live last.
			ascending := !strings.Contains(v.Name, "11.11.3 order") && !strings.HasSuffix(v.Name, "#4")
			again := append(Append(nil, &p), p.ICV...)
			if bytes.Equal(again, v.Frame) != ascending {
				t.Errorf("encoded again:\n%x, have\n%x", again, []byte(v.Frame))
			}
		})
	}
}

func checkSets(t *testing.T, p *PDU, sets []set) {
	t.Helper()
	var has [256]bool
	for _, s := range sets {
		has[s.Type] = true
		switch s.Type {
		case 1, 2:
			list := p.Potential
			if s.Type == 1 {
				list = p.Live
				if p.KeyServerSSCI != s.Octet2[0] {
					t.Errorf("key server's SSCI %d, want %d", p.KeyServerSSCI, s.Octet2[0])
				}
			}
			if list.Len() != len(s.Peers) {
				t.Fatalf("%d peers, want %d", list.Len(), len(s.Peers))
			}
			for i, want := range s.Peers {
				if mi, mn := list.At(i); mi != sa.MI(want.MI) || mn != want.MN {
					t.Errorf("peer %s/%d, want %x/%d", mi, mn, []byte(want.MI), want.MN)
				}
			}
		case 3:
			u := p.Use
			o := s.Octet2[0]
			latest := KeyUse{sa.KeyIDFromOctets([16]byte(s.LatestKI)), o >> 6, o&0x20 != 0, o&0x10 != 0, s.LLPN}
			old := KeyUse{sa.KeyIDFromOctets([16]byte(s.OldKI)), o >> 2 & 3, o&2 != 0, o&1 != 0, s.OLPN}
			if u != (SAKUse{Latest: latest, Old: old}) {
				t.Errorf("SAK Use %+v, want latest %+v, old %+v", u, latest, old)
			}
		case 4:
			dist := p.Distributed
			id := map[string]uint64{"default GCM-AES-128": 0x0080c20001000001, "0080c20001000004": 0x0080c20001000004}[s.Cipher]
			if dist.AN != s.Octet2[0]>>6 || dist.ConfidentialityOffset != s.Octet2[0]>>4&3 || dist.KN != s.KN ||
				dist.Suite != id || !bytes.Equal(dist.Wrapped, s.Wrapped) || dist.PlainText {
				t.Errorf("Distributed SAK %+v, want %+v", dist, s)
			}
		case 7:
			if len(p.Announcement) != s.Len {
				t.Errorf("Announcement of %d octets, want %d", len(p.Announcement), s.Len)
			}
		case 8:
			if p.XPN != (XPN{}) {
				t.Errorf("XPN %+v, want zeros", p.XPN)
			}
		}
	}
	if p.HasLive != has[1] || p.HasPotential != has[2] || p.HasUse != has[3] || p.HasDistributed != has[4] ||
		p.DistributedCAK != nil || p.KMD != nil || (p.Announcement != nil) != has[7] || p.HasXPN != has[8] ||
		p.ICVIndicator != has[255] || p.Unknown != 0 {
		t.Errorf("sets %+v, want %+v", p, sets)
	}
}
