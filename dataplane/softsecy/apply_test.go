package softsecy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Suite: 9}, "SecY 0000000000000000: cipher suite 9: not supported"},
		{Config{Suite: sa.GCMAES256, Offset: 31}, "confidentiality offset 31"},
		{Config{Suite: sa.GCMAESXPN128, Offset: 30}, "gcm-aes-xpn-128 has none"},
	} {
		if _, err := New(c.c); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q in it", err, c.want)
		}
	}
}

// TestApply goes through a SecY's life, each change twice: a change that is
// there changes nothing.
func TestApply(t *testing.T) {
	suite := sa.GCMAES128
	s := newSecY(t, Config{SCI: east, Suite: suite})
	table := &sa.Table{}
	step := func(kind sa.ChangeKind, sci sa.SCI, a sa.SA, encoding uint8, tx []sa.TxState, rx []sa.RxState) {
		t.Helper()
		for range 2 {
			must(t, s.Apply(sa.Change{Kind: kind, SCI: sci, SA: a}))
			must(t, s.Observe(table))
			want := sa.Table{Encoding: encoding, Tx: append([]sa.TxState{}, tx...), Rx: append([]sa.RxState{}, rx...)}
			if d := cmp.Diff(want, sa.Table{Encoding: table.Encoding, Tx: append([]sa.TxState{}, table.Tx...), Rx: append([]sa.RxState{}, table.Rx...)}); d != "" {
				t.Fatalf("%s %v: %s", kind, a.Key, d)
			}
		}
	}
	a1, a2, a3, a5 := testSA(suite, 1, 0), testSA(suite, 2, 7), testSA(suite, 3, 1), testSA(suite, 5, 1)
	tx1, tx2 := sa.TxState{AN: 1, Key: keyID(1), PN: 1}, sa.TxState{AN: 2, Key: keyID(2), PN: 7}
	step(sa.InstallTx, sa.SCI{}, a2, sa.NoAN, []sa.TxState{tx2}, nil)
	step(sa.InstallTx, sa.SCI{}, a1, sa.NoAN, []sa.TxState{tx1, tx2}, nil)
	step(sa.Encode, sa.SCI{}, a1, 1, []sa.TxState{tx1, tx2}, nil)
	step(sa.Encode, sa.SCI{}, a2, 2, []sa.TxState{tx1, tx2}, nil)
	step(sa.DeleteTx, sa.SCI{}, a1, 2, []sa.TxState{tx2}, nil)
	step(sa.DeleteTx, sa.SCI{}, a5, 2, []sa.TxState{tx2}, nil)
	rx := []sa.RxState{{SCI: east, AN: 2, Key: keyID(2), PN: 7}, {SCI: west, AN: 1, Key: keyID(1), PN: 1}, {SCI: west, AN: 3, Key: keyID(3), PN: 1}}
	step(sa.InstallRx, west, a3, 2, []sa.TxState{tx2}, rx[2:])
	step(sa.InstallRx, west, a1, 2, []sa.TxState{tx2}, rx[1:])
	step(sa.InstallRx, east, a2, 2, []sa.TxState{tx2}, rx)
	a2.PN = 9
	rx[0].PN = 9
	step(sa.RaiseLowestPN, east, a2, 2, []sa.TxState{tx2}, rx)
	a2.PN = 8
	step(sa.RaiseLowestPN, east, a2, 2, []sa.TxState{tx2}, rx)
	step(sa.DeleteRx, west, a5, 2, []sa.TxState{tx2}, rx)
	step(sa.DeleteRx, west, a1, 2, []sa.TxState{tx2}, []sa.RxState{rx[0], rx[2]})
	step(sa.DeleteSC, west, a1, 2, []sa.TxState{tx2}, rx[:1])
	step(sa.DeleteTx, sa.SCI{}, a2, sa.NoAN, nil, rx[:1])
	step(sa.DeleteRx, east, a2, sa.NoAN, nil, nil)
	if c := s.Counters(); len(c.RxSCs) != 1 || c.RxSCs[0].SCI != east.String() {
		t.Errorf("the SC went with its last SA: %+v", c.RxSCs)
	}
}

func TestApplyRefuses(t *testing.T) {
	suite := sa.GCMAES128
	s := newSecY(t, Config{SCI: east, Suite: suite})
	x := newSecY(t, Config{SCI: east, Suite: sa.GCMAESXPN128})
	a := testSA(suite, 1, 1)
	must(t, s.Apply(sa.Change{Kind: sa.InstallTx, SA: a}))
	must(t, s.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: a}))
	must(t, s.Apply(sa.Change{Kind: sa.InstallTx, SA: testSA(suite, 2, 1)}))
	must(t, s.Apply(sa.Change{Kind: sa.DeleteTx, SA: testSA(suite, 2, 1)}))
	elsewhere := a
	elsewhere.AN = 3
	long, noSSCI, an4 := testSA(suite, 3, 1<<32), testSA(suite, 3, 1), testSA(suite, 3, 1)
	an4.AN = 4
	short := testSA(suite, 3, 1)
	short.SAK = testSA(sa.GCMAES256, 3, 1).SAK
	for _, c := range []struct {
		secy   *SecY
		change sa.Change
		is     error
		text   string
	}{
		{s, sa.Change{Kind: sa.InstallTx, SA: testSA(suite, 5, 1)}, ErrKeyInUse, "an 1 is in use by key 090000000000000000000000/1"},
		{s, sa.Change{Kind: sa.InstallTx, SA: elsewhere}, ErrKeyInUse, "is in use at an 1"},
		{s, sa.Change{Kind: sa.InstallTx, SA: testSA(suite, 2, 1)}, ErrKeySpent, "key 090000000000000000000000/2 was installed before"},
		{s, sa.Change{Kind: sa.InstallRx, SCI: west, SA: testSA(suite, 5, 1)}, ErrKeyInUse, "an 1"},
		{s, sa.Change{Kind: sa.Encode, SA: testSA(suite, 5, 1)}, ErrKeyInUse, "an 1"},
		{s, sa.Change{Kind: sa.Encode, SA: testSA(suite, 3, 1)}, ErrNotInstalled, "encode an 3"},
		{s, sa.Change{Kind: sa.RaiseLowestPN, SCI: west, SA: testSA(suite, 3, 1)}, ErrNotInstalled, "raise lowest pn"},
		{s, sa.Change{Kind: sa.RaiseLowestPN, SCI: east, SA: a}, ErrNotInstalled, "raise lowest pn"},
		{s, sa.Change{Kind: sa.RaiseLowestPN, SCI: west, SA: testSA(suite, 5, 1)}, ErrKeyInUse, "an 1"},
		{s, sa.Change{Kind: sa.InstallTx, SA: long}, nil, "pn 4294967296: gcm-aes-128 has 32 bits"},
		{s, sa.Change{Kind: sa.InstallTx, SA: short}, nil, "SAK of 32 octets: gcm-aes-128 needs 16"},
		{s, sa.Change{Kind: sa.InstallRx, SCI: west, SA: short}, nil, "SAK of 32 octets: gcm-aes-128 needs 16"},
		{x, sa.Change{Kind: sa.InstallRx, SCI: west, SA: noSSCI}, nil, "no SSCI: gcm-aes-xpn-128 needs one"},
		{s, sa.Change{Kind: sa.DeleteRx, SA: an4}, nil, "an 4: not 0 to 3"},
		{s, sa.Change{Kind: 99}, errors.ErrUnsupported, "change 99"},
	} {
		err := c.secy.Apply(c.change)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, want %q in it", err, c.text)
		}
	}
	if err := s.SetControlledPort(sa.Clear); !errors.Is(err, ErrMustSecure) {
		t.Errorf("clear on a must-secure port: %v", err)
	}
}

// TestExhausted: an SA without PNs is reported as the kernel's is, and cannot
// be made to encode.
func TestExhausted(t *testing.T) {
	for _, suite := range []sa.Suite{sa.GCMAES128, sa.GCMAESXPN128} {
		tx, rx := pair(t, Config{Suite: suite, Parameters: Parameters{ReplayWindow: new(uint32)}}, 1, lastPN(suite)-1)
		tr, rr := tx.NewTransmitter(), rx.NewReceiver()
		for i := range 4 {
			mpdu, ok := tr.Protect(spaced(plain("", 60)))
			if ok != (i < 2) {
				t.Fatalf("%v: frame %d: sent %v", suite, i, ok)
			}
			if !ok {
				continue
			}
			again := append([]byte{}, mpdu...)
			if _, ok := rr.Validate(mpdu); !ok {
				t.Errorf("%v: frame %d not received", suite, i)
			}
			if _, ok := rr.Validate(again); ok {
				t.Errorf("%v: frame %d received twice", suite, i)
			}
		}
		var table sa.Table
		must(t, tx.Observe(&table))
		if table.Encoding != sa.NoAN || table.Tx[0].PN != 0 {
			t.Errorf("%v: %+v", suite, table)
		}
		if err := tx.Apply(sa.Change{Kind: sa.Encode, SA: testSA(suite, 1, 0)}); !errors.Is(err, ErrExhausted) {
			t.Errorf("%v: encode: %v", suite, err)
		}
		must(t, rx.Observe(&table))
		if table.Rx[0].PN != lastPN(suite) {
			t.Errorf("%v: %+v", suite, table)
		}
	}
}

// TestKeysNotKept: the SAK is the caller's to zero, and the memory of keys that
// are gone has an end.
func TestKeysNotKept(t *testing.T) {
	tx, rx := pair(t, Config{Suite: sa.GCMAES128}, 1, 1)
	for kn := uint32(4); kn < 4*(maxSpent+10); kn += 4 {
		a := testSA(sa.GCMAES128, kn, 1)
		must(t, tx.Apply(sa.Change{Kind: sa.InstallTx, SA: a}))
		must(t, rx.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: a}))
		must(t, tx.Apply(sa.Change{Kind: sa.Encode, SA: a}))
		a.SAK.Zero()
		mpdu, ok := tx.NewTransmitter().Protect(spaced(plain("", 60)))
		if !ok {
			t.Fatal("not sent")
		}
		if _, ok := rx.NewReceiver().Validate(mpdu); !ok {
			t.Fatal("not received")
		}
		must(t, tx.Apply(sa.Change{Kind: sa.DeleteTx, SA: a}))
		must(t, rx.Apply(sa.Change{Kind: sa.DeleteRx, SCI: west, SA: a}))
	}
	if len(tx.spent) != maxSpent {
		t.Errorf("%d keys remembered, want %d", len(tx.spent), maxSpent)
	}
}
