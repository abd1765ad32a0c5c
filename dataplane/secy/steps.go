package secy

import (
	"errors"
	"fmt"
	"math"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/macsec"
)

// op is one request to the kernel.
type op uint8

const (
	addRxSC op = iota + 1
	deleteRxSC
	addRxSA
	activateRxSA
	deleteRxSA
	addTxSA
	activateTxSA
	encodeTxSA
	deleteTxSA
)

var opNames = [...]string{addRxSC: "add rx sc", deleteRxSC: "delete rx sc", addRxSA: "add rx sa", activateRxSA: "activate rx sa",
	deleteRxSA: "delete rx sa", addTxSA: "add tx sa", activateTxSA: "activate tx sa", encodeTxSA: "encode tx sa", deleteTxSA: "delete tx sa"}

// step is an op on the SC and AN of the change that it belongs to.
type step struct {
	op    op
	pn    uint64 // of addRxSA and addTxSA
	moves bool   // of encodeTxSA: away from an SA that transmits
}

func (s step) String() string {
	switch {
	case s.pn != 0:
		return fmt.Sprintf("%s pn %d", opNames[s.op], s.pn)
	case s.moves:
		return opNames[s.op] + " from another"
	}
	return opNames[s.op]
}

// steps says what has to be asked of the kernel for c, in this order, where
// the device is as dev has it. Nothing, if all of c is there.
func steps(suite sa.Suite, dev *macsec.SecY, c sa.Change) ([]step, error) {
	if c.Kind != sa.DeleteSC && c.SA.AN >= macsec.NumAN {
		return nil, fmt.Errorf("an %d: not 0 to 3", c.SA.AN)
	}
	switch c.Kind {
	case sa.InstallRx:
		return installRx(suite, dev, c)
	case sa.InstallTx:
		return installTx(suite, dev, c)
	case sa.Encode:
		return encode(dev, c)
	case sa.DeleteRx:
		if a := findRx(findSC(dev, c.SCI), c.SA.AN); a != nil && a.KeyID == c.SA.Key.Octets() {
			return []step{{op: deleteRxSA}}, nil
		}
		return nil, nil
	case sa.DeleteTx:
		if a := findTx(dev, c.SA.AN); a != nil && a.KeyID == c.SA.Key.Octets() {
			return []step{{op: deleteTxSA}}, nil
		}
		return nil, nil
	case sa.DeleteSC:
		if findSC(dev, c.SCI) != nil {
			return []step{{op: deleteRxSC}}, nil
		}
		return nil, nil
	case sa.RaiseLowestPN:
		return nil, fmt.Errorf("%w by the kernel: it would rewind the PN when traffic is faster; set delay protection off, or dataplane: userspace", errors.ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: not a change", errors.ErrUnsupported)
}

func installRx(suite sa.Suite, dev *macsec.SecY, c sa.Change) ([]step, error) {
	if err := check(suite, &c.SA); err != nil {
		return nil, err
	}
	pn := c.SA.PN
	if suite.XPN() && uint32(pn) == 0 {
		pn-- // the kernel takes no such PN; a lower bound may be lower
	}
	sc := findSC(dev, c.SCI)
	if sc == nil {
		return []step{{op: addRxSC}, {op: addRxSA, pn: pn}}, nil
	}
	a := findRx(sc, c.SA.AN)
	switch {
	case a == nil:
		return []step{{op: addRxSA, pn: pn}}, nil
	case a.KeyID == c.SA.Key.Octets():
		if a.Active {
			return nil, nil
		}
		return []step{{op: activateRxSA}}, nil
	case !a.Active: // a deletion that was cut short
		return []step{{op: deleteRxSA}, {op: addRxSA, pn: pn}}, nil
	}
	return nil, inUse(a.AN, a.KeyID)
}

func installTx(suite sa.Suite, dev *macsec.SecY, c sa.Change) ([]step, error) {
	if err := check(suite, &c.SA); err != nil {
		return nil, err
	}
	key := c.SA.Key.Octets()
	for _, a := range dev.TxSA {
		if a.KeyID == key && a.AN != c.SA.AN {
			// The AN is not part of the nonce: twice the key, twice the nonces.
			return nil, fmt.Errorf("key %s is %w at an %d", c.SA.Key, ErrKeyInUse, a.AN)
		}
	}
	switch a := findTx(dev, c.SA.AN); {
	case a == nil:
		pn := c.SA.PN
		if suite.XPN() && uint32(pn) == 0 {
			pn++ // the kernel takes no such PN; a next PN may be skipped
		}
		return []step{{op: addTxSA, pn: pn}}, nil
	case a.KeyID != key:
		return nil, inUse(a.AN, a.KeyID)
	}
	return nil, nil
}

// encode activates before it switches: the old SA encodes until the new one
// can.
func encode(dev *macsec.SecY, c sa.Change) (todo []step, err error) {
	a := findTx(dev, c.SA.AN)
	switch {
	case a == nil:
		return nil, ErrNotInstalled
	case a.KeyID != c.SA.Key.Octets():
		return nil, inUse(a.AN, a.KeyID)
	case a.PN == 0:
		return nil, ErrExhausted
	}
	if !a.Active {
		todo = append(todo, step{op: activateTxSA})
	}
	// Activating the encoding SA makes the SecY operational; of one that is
	// active the kernel may have lost sight.
	if dev.EncodingSA != a.AN || a.Active && !dev.Operational {
		old := findTx(dev, dev.EncodingSA)
		todo = append(todo, step{op: encodeTxSA, moves: old != nil && old != a && old.Active})
	}
	return todo, nil
}

func check(suite sa.Suite, a *sa.SA) error {
	switch {
	case a.SAK.Len() != suite.KeyLen():
		return fmt.Errorf("SAK of %d octets: %s has %d", a.SAK.Len(), suite, suite.KeyLen())
	case a.PN == 0:
		return errors.New("pn 0: PNs start at 1")
	case !suite.XPN() && a.PN > math.MaxUint32:
		return fmt.Errorf("pn %d: %s has 32 bits", a.PN, suite)
	case suite.XPN() && a.SSCI == 0:
		return fmt.Errorf("no SSCI: %s needs one", suite)
	}
	return nil
}

func inUse(an uint8, by [16]byte) error {
	return fmt.Errorf("an %d is %w by key %s", an, ErrKeyInUse, sa.KeyIDFromOctets(by))
}

func findTx(dev *macsec.SecY, an uint8) *macsec.TxSA {
	for i := range dev.TxSA {
		if dev.TxSA[i].AN == an {
			return &dev.TxSA[i]
		}
	}
	return nil
}

func findSC(dev *macsec.SecY, sci sa.SCI) *macsec.RxSC {
	for i := range dev.RxSC {
		if dev.RxSC[i].SCI == macsec.SCI(sci) {
			return &dev.RxSC[i]
		}
	}
	return nil
}

// findRx takes an absent SC for one without SAs.
func findRx(sc *macsec.RxSC, an uint8) *macsec.RxSA {
	if sc == nil {
		return nil
	}
	for i := range sc.SA {
		if sc.SA[i].AN == an {
			return &sc.SA[i]
		}
	}
	return nil
}
