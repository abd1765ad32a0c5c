package softsecy

import (
	"bytes"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// The two ends of the tests.
var (
	west = sa.NewSCI([6]byte{2, 0, 0, 0, 0, 2}, 1)
	east = sa.NewSCI([6]byte{2, 0, 0, 0, 0, 1}, 1)
)

func keyID(kn uint32) sa.KeyID { return sa.KeyID{MI: sa.MI{9}, KN: kn} }

// testSA is an SA of key kn, which says its AN and its octets too.
func testSA(suite sa.Suite, kn uint32, pn uint64) sa.SA {
	a := sa.SA{AN: uint8(kn % 4), Key: keyID(kn), SAK: secret.New(bytes.Repeat([]byte{byte(kn)}, suite.KeyLen())), PN: pn}
	if suite.XPN() {
		a.SSCI, a.Salt = 1, [12]byte{7, byte(kn)}
	}
	return a
}

func newSecY(t testing.TB, c Config) *SecY {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is two SecYs of which west transmits to east with key kn.
func pair(t testing.TB, c Config, kn uint32, pn uint64) (tx, rx *SecY) {
	t.Helper()
	c.SCI = west
	tx = newSecY(t, c)
	c.SCI = east
	rx = newSecY(t, c)
	for _, kind := range []sa.ChangeKind{sa.InstallTx, sa.Encode} {
		must(t, tx.Apply(sa.Change{Kind: kind, SA: testSA(c.Suite, kn, pn)}))
	}
	must(t, rx.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: testSA(c.Suite, kn, pn)}))
	must(t, tx.SetControlledPort(sa.Secured))
	must(t, rx.SetControlledPort(sa.Secured))
	return tx, rx
}

// spaced is a frame as Protect takes it.
func spaced(frame []byte) []byte {
	buf := make([]byte, 0, len(frame)+Headroom+ICVLen)
	buf = append(buf, frame[:addresses]...)
	buf = append(buf, make([]byte, Headroom)...)
	return append(buf, frame[addresses:]...)
}
