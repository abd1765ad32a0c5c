package macsec

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
)

// decodeSecY reads one message of a GET_TXSC dump, past the generic netlink
// header. Attributes it does not know are skipped.
func decodeSecY(b []byte) (s SecY, err error) {
	err = each(b, "secy", func(ad *netlink.AttributeDecoder) error {
		switch ad.Type() {
		case attrIfindex:
			s.Ifindex = int(ad.Uint32())
		case attrOffload:
			return each(ad.Bytes(), "offload", func(ad *netlink.AttributeDecoder) error {
				if ad.Type() == offloadType {
					s.Offload = Offload(ad.Uint8())
				}
				return nil
			})
		case attrSecY:
			return s.decodeParameters(ad.Bytes())
		case attrTxSCStats:
			return decodeCounters(ad.Bytes(), "tx sc statistics", s.TxSCStats.fields())
		case attrSecYStats:
			return decodeCounters(ad.Bytes(), "secy statistics", s.Stats.fields())
		case attrTxSAList:
			return each(ad.Bytes(), "tx sa list", func(ad *netlink.AttributeDecoder) error {
				sa, err := decodeSA(ad.Bytes())
				s.TxSA = append(s.TxSA, TxSA(sa))
				return err
			})
		case attrRxSCList:
			return each(ad.Bytes(), "rx sc list", func(ad *netlink.AttributeDecoder) error {
				sc, err := decodeRxSC(ad.Bytes())
				s.RxSC = append(s.RxSC, sc)
				return err
			})
		}
		return nil
	})
	return s, err
}

func (s *SecY) decodeParameters(b []byte) error {
	return each(b, "secy parameters", func(ad *netlink.AttributeDecoder) error {
		switch ad.Type() {
		case secySCI:
			return fixed(s.SCI[:], ad, "SCI")
		case secyEncodingSA:
			s.EncodingSA = ad.Uint8()
		case secyWindow:
			s.ReplayWindow = ad.Uint32()
		case secyCipherSuite:
			s.CipherSuite = CipherSuite(ad.Uint64())
			if s.CipherSuite == gcmAES128Misprint {
				s.CipherSuite = GCMAES128
			}
		case secyICVLen:
			s.ICVLen = ad.Uint8()
		case secyProtect:
			s.Protect = ad.Uint8() != 0
		case secyReplay:
			s.ReplayProtect = ad.Uint8() != 0
		case secyOper:
			s.Operational = ad.Uint8() != 0
		case secyValidate:
			s.Validate = Validation(ad.Uint8())
		case secyEncrypt:
			s.Encrypt = ad.Uint8() != 0
		case secyIncSCI:
			s.IncludeSCI = ad.Uint8() != 0
		case secyES:
			s.ES = ad.Uint8() != 0
		case secySCB:
			s.SCB = ad.Uint8() != 0
		}
		return nil
	})
}

func decodeRxSC(b []byte) (sc RxSC, err error) {
	err = each(b, "rx sc", func(ad *netlink.AttributeDecoder) error {
		switch ad.Type() {
		case rxscSCI:
			return fixed(sc.SCI[:], ad, "SCI")
		case rxscActive:
			sc.Active = ad.Uint8() != 0
		case rxscStats:
			return decodeCounters(ad.Bytes(), "rx sc statistics", sc.Stats.fields())
		case rxscSAList:
			return each(ad.Bytes(), "rx sa list", func(ad *netlink.AttributeDecoder) error {
				sa, err := decodeSA(ad.Bytes())
				sc.SA = append(sc.SA, sa)
				return err
			})
		}
		return nil
	})
	return sc, err
}

func decodeSA(b []byte) (sa RxSA, err error) {
	err = each(b, "sa", func(ad *netlink.AttributeDecoder) error {
		switch ad.Type() {
		case saAN:
			sa.AN = ad.Uint8()
		case saActive:
			sa.Active = ad.Uint8() != 0
		case saPN: // its length says whether the suite is XPN
			switch v := ad.Bytes(); len(v) {
			case 4:
				sa.PN = uint64(binary.NativeEndian.Uint32(v))
			case 8:
				sa.PN = binary.NativeEndian.Uint64(v)
			default:
				return fmt.Errorf("pn of %d octets", len(v))
			}
		case saKeyID:
			return fixed(sa.KeyID[:], ad, "key identifier")
		case saSSCI:
			var v [4]byte
			err := fixed(v[:], ad, "SSCI")
			sa.SSCI = binary.BigEndian.Uint32(v[:])
			return err
		case saStats:
			return decodeCounters(ad.Bytes(), "sa statistics", sa.Stats.fields())
		}
		return nil
	})
	return sa, err
}

// decodeCounters stores attribute n in fields[n-1].
func decodeCounters[T uint32 | uint64](b []byte, what string, fields []*T) error {
	return each(b, what, func(ad *netlink.AttributeDecoder) error {
		i := int(ad.Type()) - 1
		if i < 0 || i >= len(fields) {
			return nil
		}
		switch f := any(fields[i]).(type) {
		case *uint32:
			*f = ad.Uint32()
		case *uint64:
			*f = ad.Uint64()
		}
		return nil
	})
}

// each calls f for every attribute in b.
func each(b []byte, what string, f func(*netlink.AttributeDecoder) error) error {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for ad.Next() {
		if err := f(ad); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := ad.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func fixed(dst []byte, ad *netlink.AttributeDecoder, what string) error {
	v := ad.Bytes()
	if len(v) != len(dst) {
		return fmt.Errorf("%s of %d octets", what, len(v))
	}
	copy(dst, v)
	return nil
}
