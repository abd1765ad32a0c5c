package secy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/linux/macsec"
)

func TestSACountersBeyond32Bits(t *testing.T) {
	var y tally
	dev := device()
	var want uint64
	for _, n := range []uint32{10, 0xfffffff0, 5, 0x80000000, 4, 4} {
		dev.TxSA[0].Stats.OutPktsEncrypted = n
		dev.RxSC[0].SA[0].Stats.InPktsOK = n
		y.add(dev)
		for want&0xffffffff != uint64(n) { // the next number with these low bits
			want += uint64(n - uint32(want))
		}
		c := y.counters(dev)
		if got := c.TxSAs[0].OutPktsEncrypted; got != want {
			t.Errorf("at %#x: out_pkts_encrypted %#x, want %#x", n, got, want)
		}
		if got := c.RxSCs[0].SAs[0].InPktsOK; got != want {
			t.Errorf("at %#x: in_pkts_ok %#x, want %#x", n, got, want)
		}
	}
	if want != 2<<32+4 {
		t.Fatalf("the test counted %#x", want)
	}
	// Another key on the AN begins anew, and the old one is forgotten.
	dev.TxSA[0].KeyID, dev.TxSA[0].Stats.OutPktsEncrypted = keyID(9).Octets(), 3
	y.add(dev)
	if got := y.counters(dev).TxSAs[0].OutPktsEncrypted; got != 3 {
		t.Errorf("new key: %d, want 3", got)
	}
	if n := len(y.sas); n != len(dev.TxSA)+len(dev.RxSC[0].SA) {
		t.Errorf("%d SAs remembered", n)
	}
}

func TestCountersDoNotFall(t *testing.T) {
	var y tally
	at := func(inOK ...uint64) uint64 {
		dev := &macsec.SecY{}
		for i, n := range inOK {
			dev.RxSC = append(dev.RxSC, macsec.RxSC{SCI: macsec.SCI{byte(i)}, Stats: macsec.RxSCStats{InPktsOK: n}})
		}
		y.add(dev)
		return y.counters(dev).InPktsOK
	}
	for i, tt := range []struct {
		sum  uint64
		have []uint64
	}{
		{30, []uint64{10, 20}},
		{35, []uint64{15, 20}},
		{36, []uint64{16}},    // the second SC goes
		{41, []uint64{16, 5}}, // and comes again
		{43, []uint64{2, 5}},  // the first went and came between two polls
		{43, nil},
	} {
		if got := at(tt.have...); got != tt.sum {
			t.Errorf("%d: in_pkts_ok %d, want %d", i, got, tt.sum)
		}
	}
}

// TestCountersJSON: each name is the field's in snake_case, and no two
// embedded structs share one, which would drop both.
func TestCountersJSON(t *testing.T) {
	dev := device()
	dev.Stats = macsec.SecYStats{OutPktsUntagged: 1, OutPktsTooLong: 2, InPktsUntagged: 3, InPktsNoTag: 4,
		InPktsBadTag: 5, InPktsUnknownSCI: 6, InPktsNoSCI: 7, InPktsOverrun: 8}
	dev.TxSCStats = macsec.TxSCStats{OutPktsProtected: 11, OutPktsEncrypted: 12, OutOctetsProtected: 13, OutOctetsEncrypted: 14}
	dev.RxSC[0].Stats = macsec.RxSCStats{InOctetsValidated: 21, InOctetsDecrypted: 22, InPktsUnchecked: 23, InPktsDelayed: 24,
		InPktsOK: 25, InPktsInvalid: 26, InPktsLate: 27, InPktsNotValid: 28, InPktsNotUsingSA: 29, InPktsUnusedSA: 30}
	dev.TxSA = dev.TxSA[:1]
	dev.TxSA[0].Stats = macsec.SAStats{OutPktsProtected: 41, OutPktsEncrypted: 42}
	dev.RxSC[0].SA = dev.RxSC[0].SA[:1]
	dev.RxSC[0].SA[0].Stats = macsec.SAStats{InPktsOK: 51, InPktsInvalid: 52, InPktsNotValid: 53, InPktsNotUsingSA: 54, InPktsUnusedSA: 55}
	var y tally
	y.add(dev)
	b, err := json.Marshal(y.counters(dev))
	if err != nil {
		t.Fatal(err)
	}
	const rx = `"in_octets_validated":21,"in_octets_decrypted":22,"in_pkts_unchecked":23,"in_pkts_delayed":24,"in_pkts_ok":25,` +
		`"in_pkts_invalid":26,"in_pkts_late":27,"in_pkts_not_valid":28,"in_pkts_not_using_sa":29,"in_pkts_unused_sa":30,`
	const want = `{"out_pkts_untagged":1,"out_pkts_too_long":2,"in_pkts_untagged":3,"in_pkts_no_tag":4,"in_pkts_bad_tag":5,` +
		`"in_pkts_unknown_sci":6,"in_pkts_no_sci":7,"in_pkts_overrun":8,"out_pkts_protected":11,"out_pkts_encrypted":12,` +
		`"out_octets_protected":13,"out_octets_encrypted":14,` + rx +
		`"tx_sa":[{"an":1,"key":"6d6900000000000000000000/1","out_pkts_protected":41,"out_pkts_encrypted":42}],` +
		`"rx_sc":[{"sci":"02000000000b0001",` + rx + `"sa":[{"an":1,"key":"6d6900000000000000000000/1","in_pkts_ok":51,` +
		`"in_pkts_invalid":52,"in_pkts_not_valid":53,"in_pkts_not_using_sa":54,"in_pkts_unused_sa":55}]}]}`
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Error(d)
	}
	if b, err := json.Marshal(new(tally).counters(&macsec.SecY{})); err != nil || !strings.HasSuffix(string(b), `"tx_sa":[],"rx_sc":[]}`) {
		t.Errorf("empty: %s, %v", b, err)
	}
}

// TestEveryCounterIsSummed finds a counter that addStats or fell forgot.
func TestEveryCounterIsSummed(t *testing.T) {
	typ := reflect.TypeFor[macsec.RxSCStats]()
	for i := range typ.NumField() {
		var one macsec.RxSCStats
		reflect.ValueOf(&one).Elem().Field(i).SetUint(1)
		two := addStats(one, one)
		if reflect.ValueOf(two).Field(i).Uint() != 2 || !fell(two, one) || fell(one, two) || fell(one, one) {
			t.Errorf("%s is not summed or not compared", typ.Field(i).Name)
		}
	}
}
