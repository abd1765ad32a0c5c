package mka

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// fakeSecY keeps an SA table and finds what no SecY may be asked.
type fakeSecY struct {
	encoding int
	tx       map[uint8]sa.TxState
	rx       map[sa.SCI]map[uint8]sa.RxState
	ever     map[string]bool // SC and key identifier that were installed
	wrong    []string
	// faulty: changes have failed by injection, so that an AN may be occupied
	// by what could not be deleted.
	faulty bool
	// gutted: it has lost its SAs by itself.
	gutted bool
	lowest uint64           // of the last RaiseLowestPN
	ssci   map[uint8]uint32 // by AN, transmit
}

func newFakeSecY() *fakeSecY {
	return &fakeSecY{encoding: -1, tx: map[uint8]sa.TxState{}, rx: map[sa.SCI]map[uint8]sa.RxState{}, ssci: map[uint8]uint32{}, ever: map[string]bool{}}
}

func (f *fakeSecY) bad(format string, a ...any) error {
	err := fmt.Errorf(format, a...)
	f.wrong = append(f.wrong, err.Error())
	return err
}

func (f *fakeSecY) occupied(format string, a ...any) error {
	if f.faulty {
		return fmt.Errorf(format, a...)
	}
	return f.bad(format, a...)
}

func (f *fakeSecY) once(what string, k sa.KeyID) error {
	id := what + k.String()
	if f.ever[id] {
		return f.bad("%s: key identifier installed twice", id)
	}
	f.ever[id] = true
	return nil
}

func (f *fakeSecY) apply(c sa.Change) error {
	an := c.SA.AN
	switch c.Kind {
	case sa.InstallTx:
		if s, ok := f.tx[an]; ok {
			if s.Key == c.SA.Key {
				return nil
			}
			return f.occupied("tx an %d has %s, asked for %s", an, s.Key, c.SA.Key)
		}
		if len(c.SA.SAK.Bytes()) == 0 {
			return f.bad("tx an %d without a SAK", an)
		}
		if err := f.once("tx ", c.SA.Key); err != nil {
			return err
		}
		f.tx[an], f.ssci[an] = sa.TxState{AN: an, Key: c.SA.Key, PN: c.SA.PN}, c.SA.SSCI
	case sa.InstallRx:
		sc := f.rx[c.SCI]
		if sc == nil {
			sc = map[uint8]sa.RxState{}
			f.rx[c.SCI] = sc
		}
		if s, ok := sc[an]; ok {
			if s.Key == c.SA.Key {
				return nil
			}
			return f.occupied("rx %s an %d has %s, asked for %s", c.SCI, an, s.Key, c.SA.Key)
		}
		if err := f.once("rx "+c.SCI.String()+" ", c.SA.Key); err != nil {
			return err
		}
		sc[an] = sa.RxState{SCI: c.SCI, AN: an, Key: c.SA.Key, PN: c.SA.PN}
	case sa.Encode:
		if f.tx[an].Key != c.SA.Key {
			return f.bad("encode an %d key %s: not installed", an, c.SA.Key)
		}
		f.encoding = int(an)
	case sa.DeleteTx:
		if f.tx[an].Key == c.SA.Key {
			delete(f.tx, an)
			if f.encoding == int(an) {
				f.encoding = -1
			}
		}
	case sa.DeleteRx:
		if f.rx[c.SCI][an].Key == c.SA.Key {
			delete(f.rx[c.SCI], an)
		}
	case sa.RaiseLowestPN:
		if c.SA.PN < f.lowest {
			return f.bad("lowest PN %d after %d", c.SA.PN, f.lowest)
		}
		f.lowest = c.SA.PN
	case sa.DeleteSC:
		delete(f.rx, c.SCI)
	}
	return nil
}

func (f *fakeSecY) table() *sa.Table {
	t := &sa.Table{Encoding: sa.NoAN}
	if f.encoding >= 0 {
		t.Encoding = uint8(f.encoding)
	}
	for an := range uint8(4) {
		if s, ok := f.tx[an]; ok {
			t.Tx = append(t.Tx, s)
		}
	}
	for _, sc := range f.rx {
		for _, s := range sc {
			t.Rx = append(t.Rx, s)
		}
	}
	slices.SortFunc(t.Rx, func(a, b sa.RxState) int {
		return bytes.Compare(append(a.SCI[:], a.AN), append(b.SCI[:], b.AN))
	})
	return t
}

// encodesWith is the key of what the SecY transmits; false if it transmits
// nothing.
func (f *fakeSecY) encodesWith() (sa.TxState, bool) {
	if f.encoding < 0 {
		return sa.TxState{}, false
	}
	s, ok := f.tx[uint8(f.encoding)]
	return s, ok
}

// receives tells whether a frame of sci under that SA would be accepted.
func (f *fakeSecY) receives(sci sa.SCI, tx sa.TxState) bool { return f.rx[sci][tx.AN].Key == tx.Key }
