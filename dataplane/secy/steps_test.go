package secy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/linux/macsec"
)

var (
	sciA = sa.NewSCI([6]byte{2, 0, 0, 0, 0, 0xa}, 1)
	sciB = sa.NewSCI([6]byte{2, 0, 0, 0, 0, 0xb}, 1)
)

// keyID is the test's key identifier of a key number.
func keyID(kn uint32) sa.KeyID { return sa.KeyID{MI: sa.MI{'m', 'i'}, KN: kn} }

// testSA is an SA whose SAK, salt and key identifier follow from kn.
func testSA(suite sa.Suite, an uint8, kn uint32) sa.SA {
	return sa.SA{AN: an, Key: keyID(kn), PN: 1, SSCI: 1,
		SAK:  secret.New(bytes.Repeat([]byte{byte(kn)}, suite.KeyLen())),
		Salt: [12]byte{byte(kn), 1, 2, 3}}
}

// device has: tx an 1 key 1 active and encoding, an 2 key 2 inactive, an 3 key
// 3 exhausted; rx of sciB an 1 key 1 active, an 2 key 2 inactive.
func device() *macsec.SecY {
	return &macsec.SecY{EncodingSA: 1, Operational: true, Protect: true, Validate: macsec.ValidateStrict,
		TxSA: []macsec.TxSA{
			{AN: 1, Active: true, PN: 50, KeyID: keyID(1).Octets()},
			{AN: 2, PN: 1, KeyID: keyID(2).Octets()},
			{AN: 3, PN: 0, KeyID: keyID(3).Octets()},
		},
		RxSC: []macsec.RxSC{{SCI: macsec.SCI(sciB), Active: true, SA: []macsec.RxSA{
			{AN: 1, Active: true, PN: 60, KeyID: keyID(1).Octets()},
			{AN: 2, PN: 7, KeyID: keyID(2).Octets()},
		}}},
	}
}

func TestSteps(t *testing.T) {
	const suite = sa.GCMAES128
	lost := device()
	lost.Operational = false
	tests := []struct {
		name string
		dev  *macsec.SecY
		kind sa.ChangeKind
		sci  sa.SCI
		an   uint8
		kn   uint32
		want string
		err  error
	}{
		{"first SA of a peer", device(), sa.InstallRx, sciA, 0, 9, "add rx sc, add rx sa pn 1", nil},
		{"next SA of a peer", device(), sa.InstallRx, sciB, 0, 9, "add rx sa pn 1", nil},
		{"rx is there", device(), sa.InstallRx, sciB, 1, 1, "", nil},
		{"rx deletion cut short, same key", device(), sa.InstallRx, sciB, 2, 2, "activate rx sa", nil},
		{"rx deletion cut short, other key", device(), sa.InstallRx, sciB, 2, 9, "delete rx sa, add rx sa pn 1", nil},
		{"rx an in use", device(), sa.InstallRx, sciB, 1, 9, "", ErrKeyInUse},
		{"tx", device(), sa.InstallTx, sa.SCI{}, 0, 9, "add tx sa pn 1", nil},
		{"tx is there", device(), sa.InstallTx, sa.SCI{}, 1, 1, "", nil},
		{"tx is there, not encoding", device(), sa.InstallTx, sa.SCI{}, 2, 2, "", nil},
		{"tx an in use", device(), sa.InstallTx, sa.SCI{}, 1, 9, "", ErrKeyInUse},
		{"tx key at another an", device(), sa.InstallTx, sa.SCI{}, 0, 1, "", ErrKeyInUse},
		{"encode activates first", device(), sa.Encode, sa.SCI{}, 2, 2, "activate tx sa, encode tx sa from another", nil},
		{"encodes already", device(), sa.Encode, sa.SCI{}, 1, 1, "", nil},
		{"encodes, but the SecY stopped", lost, sa.Encode, sa.SCI{}, 1, 1, "encode tx sa", nil},
		{"encode absent", device(), sa.Encode, sa.SCI{}, 0, 9, "", ErrNotInstalled},
		{"encode another key", device(), sa.Encode, sa.SCI{}, 1, 9, "", ErrKeyInUse},
		{"encode exhausted", device(), sa.Encode, sa.SCI{}, 3, 3, "", ErrExhausted},
		{"delete rx", device(), sa.DeleteRx, sciB, 1, 1, "delete rx sa", nil},
		{"delete rx of another key", device(), sa.DeleteRx, sciB, 1, 9, "", nil},
		{"delete absent rx", device(), sa.DeleteRx, sciB, 0, 9, "", nil},
		{"delete rx of an absent sc", device(), sa.DeleteRx, sciA, 1, 1, "", nil},
		{"delete tx", device(), sa.DeleteTx, sa.SCI{}, 1, 1, "delete tx sa", nil},
		{"delete tx of another key", device(), sa.DeleteTx, sa.SCI{}, 1, 9, "", nil},
		{"delete absent tx", device(), sa.DeleteTx, sa.SCI{}, 0, 9, "", nil},
		{"delete sc", device(), sa.DeleteSC, sciB, 0, 0, "delete rx sc", nil},
		{"delete absent sc", device(), sa.DeleteSC, sciA, 0, 0, "", nil},
		{"delay protection", device(), sa.RaiseLowestPN, sciB, 1, 1, "", errors.ErrUnsupported},
		{"no change", device(), 0, sciB, 1, 1, "", errors.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := steps(suite, tt.dev, sa.Change{Kind: tt.kind, SCI: tt.sci, SA: testSA(suite, tt.an, tt.kn)})
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			var names []string
			for _, s := range got {
				names = append(names, s.String())
			}
			if d := cmp.Diff(tt.want, strings.Join(names, ", ")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestEncodeFirstSA: on a new device the encoding AN is 0 with nothing there.
func TestEncodeFirstSA(t *testing.T) {
	dev := &macsec.SecY{TxSA: []macsec.TxSA{{AN: 0, PN: 1, KeyID: keyID(1).Octets()}}}
	got, err := steps(sa.GCMAES128, dev, sa.Change{Kind: sa.Encode, SA: testSA(sa.GCMAES128, 0, 1)})
	if err != nil || fmt.Sprint(got) != "[activate tx sa]" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestInstallChecks(t *testing.T) {
	tests := []struct {
		suite sa.Suite
		mod   func(*sa.SA)
		want  string
	}{
		{sa.GCMAES128, func(a *sa.SA) { a.AN = 4 }, "an 4"},
		{sa.GCMAES128, func(a *sa.SA) { a.PN = 0 }, "pn 0"},
		{sa.GCMAES128, func(a *sa.SA) { a.PN = 1 << 32 }, "gcm-aes-128 has 32 bits"},
		{sa.GCMAES256, func(a *sa.SA) { a.SAK = secret.New(make([]byte, 16)) }, "SAK of 16 octets: gcm-aes-256 has 32"},
		{sa.GCMAES128, func(a *sa.SA) { a.SAK = nil }, "SAK of 0 octets"},
		{sa.GCMAESXPN128, func(a *sa.SA) { a.SSCI = 0 }, "no SSCI"},
	}
	for _, tt := range tests {
		for _, kind := range []sa.ChangeKind{sa.InstallRx, sa.InstallTx} {
			a := testSA(tt.suite, 0, 9)
			tt.mod(&a)
			if got, err := steps(tt.suite, device(), sa.Change{Kind: kind, SCI: sciB, SA: a}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, %v; want an error with %q", kind, got, err, tt.want)
			}
		}
	}
}

// TestXPNLowWordZero: the kernel takes no such PN. Transmit skips one, receive
// accepts one more.
func TestXPNLowWordZero(t *testing.T) {
	a := testSA(sa.GCMAESXPN256, 0, 9)
	a.PN = 5 << 32
	for kind, want := range map[sa.ChangeKind]string{
		sa.InstallTx: "[add tx sa pn 21474836481]",
		sa.InstallRx: "[add rx sa pn 21474836479]",
	} {
		got, err := steps(sa.GCMAESXPN256, device(), sa.Change{Kind: kind, SCI: sciB, SA: a})
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v; want %s", kind, got, err, want)
		}
	}
}

func TestTabulate(t *testing.T) {
	dev := device()
	dev.RxSC = append(dev.RxSC, macsec.RxSC{SCI: macsec.SCI(sciA), SA: []macsec.RxSA{
		{AN: 3, Active: true, PN: 8, KeyID: keyID(3).Octets()},
		{AN: 0, Active: true, PN: 9, KeyID: keyID(4).Octets()},
	}})
	want := sa.Table{Encoding: 1,
		Tx: []sa.TxState{{AN: 1, Key: keyID(1), PN: 50}, {AN: 2, Key: keyID(2), PN: 1}, {AN: 3, Key: keyID(3), PN: 0}},
		Rx: []sa.RxState{{SCI: sciA, AN: 0, Key: keyID(4), PN: 9}, {SCI: sciA, AN: 3, Key: keyID(3), PN: 8}, {SCI: sciB, AN: 1, Key: keyID(1), PN: 60}},
	}
	var got sa.Table
	tabulate(dev, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	tx, rx := &got.Tx[0], &got.Rx[0]
	tabulate(dev, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if tx != &got.Tx[0] || rx != &got.Rx[0] {
		t.Error("the slices were not used again")
	}
	for an, want := range map[uint8]uint8{1: 1, 2: sa.NoAN, 0: 0} {
		dev.EncodingSA = an
		if tabulate(dev, &got); got.Encoding != want {
			t.Errorf("encoding SA %d: Table has %d, want %d", an, got.Encoding, want)
		}
	}
}
