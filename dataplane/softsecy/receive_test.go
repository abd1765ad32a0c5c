package softsecy

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestDiscarded has each reason to discard, or not to deliver as protected,
// under strict validation and under check.
func TestDiscarded(t *testing.T) {
	const suite = sa.GCMAES128
	k := testKey(t, suite, 0) // key octets 7: not of any SA of the test
	foreign := func(tci TCI, an uint8, pn uint32, sci sa.SCI) []byte {
		m, err := k.Protect(nil, plain("", 60), 0, SecTAG{TCI: tci, AN: an, PN: pn, SCI: sci}, IV{})
		must(t, err)
		return m
	}
	set := func(at int, b byte) []byte {
		f := foreign(SC|E|C, 1, 1, west)
		f[at] = b
		return f
	}
	sc := func(c counters.RxSC) func(*Counters) {
		return func(all *Counters) { all.RxSC, all.RxSCs[0].RxSC = c, c }
	}
	for _, c := range []struct {
		name          string
		frame         []byte
		strict, check func(*Counters)
		delivered     bool // under check
	}{
		{"untagged", plain("", 60), func(c *Counters) { c.InPktsNoTag = 1 }, func(c *Counters) { c.InPktsUntagged = 1 }, true},
		{"VLAN tag in front", append(plain(cTag, 0), foreign(SC|E|C, 1, 1, west)[12:]...),
			func(c *Counters) { c.InPktsNoTag = 1 }, func(c *Counters) { c.InPktsUntagged = 1 }, true},
		{"no EtherType", plain("", 1), func(c *Counters) { c.InPktsNoTag = 1 }, func(c *Counters) { c.InPktsNoTag = 1 }, false},
		{"empty", nil, func(c *Counters) { c.InPktsNoTag = 1 }, func(c *Counters) { c.InPktsNoTag = 1 }, false},
		{"tag cut", foreign(SC, 1, 1, west)[:19], badTag, badTag, false},
		{"SCI cut", foreign(SC, 1, 1, west)[:27], badTag, badTag, false},
		{"ICV cut", foreign(SC, 1, 1, west)[:28+47+16], badTag, badTag, false},
		{"version 1", set(14, 0xad), badTag, badTag, false},
		{"ES and SC", set(14, 0x6d), badTag, badTag, false},
		{"C without E", set(14, 0x25), badTag, badTag, false},
		{"for the KaY", set(14, 0x29), badTag, badTag, false},
		{"SL 48", set(15, 48), badTag, badTag, false},
		{"SL at odds", set(15, 47), badTag, badTag, false},
		{"PN 0", set(19, 0), badTag, badTag, false},
		{"SCI unknown, encrypted", foreign(SC|E|C, 1, 1, east), func(c *Counters) { c.InPktsNoSCI = 1 }, func(c *Counters) { c.InPktsNoSCI = 1 }, false},
		{"SCI unknown", foreign(SC, 1, 1, east), func(c *Counters) { c.InPktsNoSCI = 1 }, func(c *Counters) { c.InPktsUnknownSCI = 1 }, true},
		{"SCB's SCI unknown", foreign(SCB, 1, 1, west), func(c *Counters) { c.InPktsNoSCI = 1 }, func(c *Counters) { c.InPktsUnknownSCI = 1 }, true},
		{"AN without SA, encrypted", foreign(SC|E|C, 2, 1, west), sc(counters.RxSC{InPktsNotUsingSA: 1}), sc(counters.RxSC{InPktsNotUsingSA: 1}), false},
		{"AN without SA", foreign(ES, 2, 1, west), sc(counters.RxSC{InPktsNotUsingSA: 1}), sc(counters.RxSC{InPktsUnusedSA: 1}), true},
		{"ICV wrong, encrypted", foreign(E|C, 1, 5, west), notValid(true), notValid(true), false},
		{"ICV wrong", foreign(0, 1, 5, west), notValid(false), func(c *Counters) {
			sc(counters.RxSC{InPktsInvalid: 1, InOctetsValidated: 60})(c)
			c.RxSCs[0].SAs[0].InPktsInvalid = 1
		}, true},
		{"late", foreign(SC, 1, 4, west), sc(counters.RxSC{InPktsLate: 1}), sc(counters.RxSC{InPktsLate: 1}), false},
	} {
		for _, port := range []sa.ControlledPort{sa.Secured, sa.Clear} {
			s := newSecY(t, Config{SCI: east, Suite: suite, Should: true, Parameters: Parameters{ReplayWindow: new(uint32)}})
			must(t, s.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: testSA(suite, 1, 5)}))
			must(t, s.SetControlledPort(port))
			want := Counters{Counters: counters.Counters{TxSAs: []counters.TxSA{},
				RxSCs: []counters.RxChannel{{SCI: west.String(), SAs: []counters.RxSA{{AN: 1, Key: keyID(1).String()}}}}}}
			if c.strict(&want); port == sa.Clear {
				want.Counters.SecY, want.RxSC = counters.SecY{}, counters.RxSC{}
				want.RxSCs[0].RxSC, want.RxSCs[0].SAs[0].InPktsNotValid = counters.RxSC{}, 0
				c.check(&want)
			}
			r := s.NewReceiver()
			out, ok := r.Validate(bytes.Clone(c.frame))
			if ok != (port == sa.Clear && c.delivered) {
				t.Errorf("%s, %s: delivered: %v, %x", c.name, port, ok, out)
			}
			if ok && !bytes.Equal(out, plain("", 60)) && !bytes.Equal(out, c.frame) {
				t.Errorf("%s, %s: %x", c.name, port, out)
			}
			r.Flush()
			if d := cmp.Diff(want, s.Counters()); d != "" {
				t.Errorf("%s, %s: %s", c.name, port, d)
			}
			var table sa.Table
			if must(t, s.Observe(&table)); table.Rx[0].PN != 5 {
				t.Errorf("%s, %s: a frame that is not authentic moves the PN to %d", c.name, port, table.Rx[0].PN)
			}
		}
	}
}

func badTag(c *Counters) { c.InPktsBadTag = 1 }

func notValid(encrypted bool) func(*Counters) {
	return func(c *Counters) {
		n := counters.RxSC{InPktsNotValid: 1, InOctetsValidated: 60}
		if encrypted {
			n.InOctetsValidated, n.InOctetsDecrypted = 0, 60
		}
		c.RxSC, c.RxSCs[0].RxSC = n, n
		c.RxSCs[0].SAs[0].InPktsNotValid = 1
	}
}

// TestReplay: what a window lets through of frames that come out of order, and
// what a change of it does while frames are under way.
func TestReplay(t *testing.T) {
	window := func(n uint32) *uint32 { return &n }
	for _, suite := range []sa.Suite{sa.GCMAES128, sa.GCMAESXPN128} {
		const base = 0xfffffffa - 1 // with XPN the frames cross 2^32
		tx, rx := pair(t, Config{Suite: suite, Parameters: Parameters{Encrypt: true}}, 1, 1)
		from := uint64(1)
		if suite.XPN() {
			from = base + 1
			must(t, tx.Apply(sa.Change{Kind: sa.InstallTx, SA: testSA(suite, 2, from)}))
			must(t, tx.Apply(sa.Change{Kind: sa.Encode, SA: testSA(suite, 2, from)}))
			must(t, rx.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: testSA(suite, 2, from)}))
		}
		tr, rr := tx.NewTransmitter(), rx.NewReceiver()
		var sent [30][]byte
		for i := range sent {
			m, ok := tr.Protect(spaced(plain("", 60)))
			if !ok {
				t.Fatal("not sent")
			}
			sent[i] = bytes.Clone(m)
		}
		var want counters.RxSC
		receive := func(i int, ok bool, counter *uint64) {
			t.Helper()
			if _, got := rr.Validate(bytes.Clone(sent[i])); got != ok {
				t.Errorf("%v: frame %d: delivered %v, want %v", suite, i, got, ok)
			}
			*counter++
			rr.Flush()
			got := rx.Counters().RxSC
			got.InOctetsDecrypted = 0
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%v: frame %d: %s", suite, i, d)
			}
		}
		receive(9, true, &want.InPktsOK)
		receive(0, true, &want.InPktsDelayed)
		receive(9, true, &want.InPktsDelayed)
		rx.SetParameters(Parameters{ReplayWindow: window(3)})
		receive(6, false, &want.InPktsLate)
		receive(7, true, &want.InPktsOK)
		receive(7, true, &want.InPktsOK) // 802.1AE knows a window, not what is in it
		receive(12, true, &want.InPktsOK)
		receive(9, false, &want.InPktsLate)
		receive(10, true, &want.InPktsOK)
		rx.SetParameters(Parameters{ReplayWindow: window(100)})
		receive(9, false, &want.InPktsLate) // what was late stays late
		receive(10, true, &want.InPktsOK)
		rx.SetParameters(Parameters{ReplayWindow: window(0)})
		receive(12, false, &want.InPktsLate)
		receive(13, true, &want.InPktsOK)
		rx.SetParameters(Parameters{})
		receive(13, true, &want.InPktsDelayed)
		receive(14, true, &want.InPktsOK)
		rx.SetParameters(Parameters{ReplayWindow: window(8)})
		raise := sa.Change{Kind: sa.RaiseLowestPN, SCI: west, SA: testSA(suite, 1, from+20)}
		if suite.XPN() {
			raise.SA = testSA(suite, 2, from+20)
		}
		must(t, rx.Apply(raise))
		receive(19, false, &want.InPktsLate)
		receive(20, true, &want.InPktsOK)
		receive(29, true, &want.InPktsOK)
		receive(21, false, &want.InPktsLate)
		receive(22, true, &want.InPktsOK)
	}
}

// TestSwitchOver: the SAs of a rekey are received side by side, and the
// counters of what is gone are kept.
func TestSwitchOver(t *testing.T) {
	const suite = sa.GCMAESXPN256
	tx, rx := pair(t, Config{Suite: suite, Parameters: Parameters{Encrypt: true, SendSCI: true}}, 1, 1)
	tr, rr := tx.NewTransmitter(), rx.NewReceiver()
	send := func() []byte {
		m, ok := tr.Protect(spaced(plain("", 60)))
		if !ok {
			t.Fatal("not sent")
		}
		return bytes.Clone(m)
	}
	receive := func(m []byte, want bool) {
		t.Helper()
		if _, ok := rr.Validate(m); ok != want {
			t.Errorf("delivered %v, want %v", ok, want)
		}
	}
	old := [][]byte{send(), send(), send()}
	a2 := testSA(suite, 2, 1)
	must(t, rx.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: a2}))
	must(t, tx.Apply(sa.Change{Kind: sa.InstallTx, SA: a2}))
	receive(old[0], true)
	must(t, tx.Apply(sa.Change{Kind: sa.Encode, SA: a2}))
	receive(send(), true)
	receive(old[1], true)
	must(t, rx.Apply(sa.Change{Kind: sa.DeleteRx, SCI: west, SA: testSA(suite, 1, 1)}))
	receive(old[2], false)
	receive(send(), true)
	rr.Flush()
	c := rx.Counters()
	if c.InPktsOK != 4 || c.InPktsNotUsingSA != 1 || len(c.RxSCs) != 1 || c.RxSCs[0].RxSC != c.RxSC || len(c.RxSCs[0].SAs) != 1 || c.RxSCs[0].SAs[0].InPktsOK != 2 {
		t.Errorf("counters %+v", c)
	}
	// What a goroutine has yet to tell of an SC that is gone is not lost.
	receive(send(), true)
	must(t, rx.Apply(sa.Change{Kind: sa.DeleteSC, SCI: west}))
	receive(send(), false)
	rr.Flush()
	if c := rx.Counters(); c.InPktsOK != 5 || c.InPktsNoSCI != 1 || len(c.RxSCs) != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestSecYNoAllocation(t *testing.T) {
	for _, c := range []Config{
		{Suite: sa.GCMAES256, Parameters: Parameters{Encrypt: true, SendSCI: true}},
		{Suite: sa.GCMAESXPN128, Parameters: Parameters{SendSCI: true, ReplayWindow: new(uint32)}},
		{Suite: sa.GCMAES128, Offset: 30, Parameters: Parameters{Encrypt: true}},
	} {
		tx, rx := pair(t, c, 1, 1)
		tr, rr := tx.NewTransmitter(), rx.NewReceiver()
		buf, bad := spaced(plain("", 1500)), plain("\x88\xe5\x20\x00\x00\x00\x00\x01", 60)
		n := testing.AllocsPerRun(100, func() {
			m, ok := tr.Protect(buf)
			if ok {
				_, ok = rr.Validate(m)
			}
			if _, bad := rr.Validate(bad); !ok || bad {
				t.Fatal("lost")
			}
			tr.Flush()
			rr.Flush()
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", c.Suite, n)
		}
	}
}
