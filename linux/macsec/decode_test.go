package macsec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
)

// dumpMessage builds what the kernel answers to GET_TXSC with netlink's
// encoder, padding and an attribute of a later kernel included.
func dumpMessage(t testing.TB, ifindex uint32, xpn bool) []byte {
	t.Helper()
	nested := func(f func(*netlink.AttributeEncoder)) func(*netlink.AttributeEncoder) error {
		return func(ae *netlink.AttributeEncoder) error { f(ae); return nil }
	}
	counters := func(n int, base uint64, wide bool, pad uint16) func(*netlink.AttributeEncoder) error {
		return nested(func(ae *netlink.AttributeEncoder) {
			for i := 1; i <= n; i++ {
				if wide {
					ae.Bytes(pad, nil)
					ae.Uint64(uint16(i), base+uint64(i))
				} else {
					ae.Uint32(uint16(i), uint32(base)+uint32(i))
				}
			}
		})
	}
	sa := func(an uint8, active uint8, pn uint64) func(*netlink.AttributeEncoder) error {
		return nested(func(ae *netlink.AttributeEncoder) {
			ae.Nested(saStats, counters(7, 500, false, 0))
			ae.Uint8(saAN, an)
			if xpn {
				ae.Uint64(saPN, pn)
				ae.Bytes(saSSCI, []byte{0, 0, 0, 2})
			} else {
				ae.Uint32(saPN, uint32(pn))
			}
			ae.Bytes(saKeyID, testKeyID[:])
			ae.Uint8(saActive, active)
		})
	}
	suite := uint64(0x0080020001000001)
	if xpn {
		suite = 0x0080c20001000004
	}
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(attrIfindex, ifindex)
	ae.Nested(attrOffload, nested(func(ae *netlink.AttributeEncoder) { ae.Uint8(offloadType, 2) }))
	ae.Nested(attrSecY, nested(func(ae *netlink.AttributeEncoder) {
		ae.Bytes(secySCI, testSCI[:])
		ae.Uint64(secyCipherSuite, suite)
		for typ, v := range map[uint16]uint8{secyICVLen: 16, secyOper: 1, secyProtect: 1, secyReplay: 1, secyValidate: 2,
			secyEncrypt: 1, secyIncSCI: 1, secyES: 1, secySCB: 1, secyEncodingSA: 3} {
			ae.Uint8(typ, v)
		}
		ae.Uint32(secyWindow, 64)
	}))
	ae.Nested(attrTxSCStats, counters(4, 100, true, 5))
	ae.Nested(attrSecYStats, counters(8, 200, true, 9))
	ae.Nested(attrTxSAList, nested(func(ae *netlink.AttributeEncoder) {
		ae.Nested(1, sa(0, 0, 9))
		ae.Nested(2, sa(3, 1, 0x1_0000_0005))
	}))
	ae.Nested(attrRxSCList, nested(func(ae *netlink.AttributeEncoder) {
		ae.Nested(1, nested(func(ae *netlink.AttributeEncoder) {
			ae.Uint8(rxscActive, 1)
			ae.Bytes(rxscSCI, testSCI[:])
			ae.Nested(rxscStats, counters(10, 300, true, 11))
			ae.Nested(rxscSAList, nested(func(ae *netlink.AttributeEncoder) { ae.Nested(1, sa(1, 1, 77)) }))
		}))
	}))
	ae.Bytes(99, []byte("later"))
	b, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantSecY(xpn bool) SecY {
	stats := SAStats{501, 502, 503, 504, 505, 506, 507}
	s := SecY{
		Ifindex: 7, SCI: testSCI, CipherSuite: GCMAES128, ICVLen: 16, EncodingSA: 3, Operational: true, Protect: true,
		Encrypt: true, IncludeSCI: true, ES: true, SCB: true, ReplayProtect: true, ReplayWindow: 64,
		Validate: ValidateStrict, Offload: OffloadMAC,
		TxSA:      []TxSA{{AN: 0, PN: 9, KeyID: testKeyID, Stats: stats}, {AN: 3, Active: true, PN: 5, KeyID: testKeyID, Stats: stats}},
		RxSC:      []RxSC{{SCI: testSCI, Active: true, SA: []RxSA{{AN: 1, Active: true, PN: 77, KeyID: testKeyID, Stats: stats}}}},
		TxSCStats: TxSCStats{101, 102, 103, 104},
		Stats: SecYStats{OutPktsUntagged: 201, InPktsUntagged: 202, OutPktsTooLong: 203, InPktsNoTag: 204,
			InPktsBadTag: 205, InPktsUnknownSCI: 206, InPktsNoSCI: 207, InPktsOverrun: 208},
	}
	s.RxSC[0].Stats = RxSCStats{InOctetsValidated: 301, InOctetsDecrypted: 302, InPktsUnchecked: 303, InPktsDelayed: 304,
		InPktsOK: 305, InPktsInvalid: 306, InPktsLate: 307, InPktsNotValid: 308, InPktsNotUsingSA: 309, InPktsUnusedSA: 310}
	if xpn {
		s.CipherSuite = GCMAESXPN256
		s.TxSA[1].PN = 0x1_0000_0005
		s.TxSA[0].SSCI, s.TxSA[1].SSCI, s.RxSC[0].SA[0].SSCI = 2, 2, 2
	}
	return s
}

func TestDecodeSecY(t *testing.T) {
	for _, xpn := range []bool{false, true} {
		got, err := decodeSecY(dumpMessage(t, 7, xpn))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wantSecY(xpn), got); d != "" {
			t.Errorf("xpn %v: %s", xpn, d)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"secy parameters: SCI of 4 octets":           appendNested(nil, attrSecY, func(b []byte) []byte { return appendU32(b, secySCI, 1) }),
		"tx sa list: sa: pn of 1 octets":             saMessage(func(b []byte) []byte { return appendU8(b, saPN, 1) }),
		"tx sa list: sa: key identifier of 1 octets": saMessage(func(b []byte) []byte { return appendU8(b, saKeyID, 1) }),
		"tx sa list: sa: SSCI of 1 octets":           saMessage(func(b []byte) []byte { return appendU8(b, saSSCI, 1) }),
		"tx sa list: sa: sa statistics: ": saMessage(func(b []byte) []byte {
			return appendNested(b, saStats, func(b []byte) []byte { return appendU8(b, 1, 1) })
		}),
		"secy: tx sa list: ": appendAttr(nil, attrTxSAList, 1, 2, 3),
	} {
		if _, err := decodeSecY(b); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, have %v", name, err)
		}
	}
}

func saMessage(f func([]byte) []byte) []byte {
	return appendNested(nil, attrTxSAList, func(b []byte) []byte { return appendNested(b, 1, f) })
}

func FuzzDecodeSecY(f *testing.F) {
	f.Add(dumpMessage(f, 7, false))
	f.Add(dumpMessage(f, 7, true))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSecY(b)
		again, errAgain := decodeSecY(append([]byte(nil), b...))
		if (err == nil) != (errAgain == nil) || err == nil && !cmp.Equal(s, again) {
			t.Error("decoding twice differs")
		}
		if i, err2 := decodeIfindex(b); err == nil && (err2 != nil || i != s.Ifindex) {
			t.Errorf("decodeIfindex %d, %v; decodeSecY %d", i, err2, s.Ifindex)
		}
		_, _ = decodeLinkName(b)
		_, _ = decodeLinkIndex(b)
	})
}
