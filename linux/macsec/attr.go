package macsec

import "encoding/binary"

// The append functions write one netlink attribute (struct nlattr, host byte
// order) each, padded to 4 octets. They exist beside netlink's
// AttributeEncoder because that one leaves copies of what it encodes on the
// heap, keys included.

const attrHeader = 4

func appendAttr(b []byte, typ uint16, data ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHeader+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	return append(b, make([]byte, -len(data)&3)...)
}

func appendU8(b []byte, typ uint16, v uint8) []byte { return appendAttr(b, typ, v) }

func appendBool(b []byte, typ uint16, v bool) []byte {
	if v {
		return appendAttr(b, typ, 1)
	}
	return appendAttr(b, typ, 0)
}

func appendU32(b []byte, typ uint16, v uint32) []byte {
	var d [4]byte
	binary.NativeEndian.PutUint32(d[:], v)
	return appendAttr(b, typ, d[:]...)
}

func appendU64(b []byte, typ uint16, v uint64) []byte {
	var d [8]byte
	binary.NativeEndian.PutUint64(d[:], v)
	return appendAttr(b, typ, d[:]...)
}

// appendNested writes an attribute whose content f appends.
func appendNested(b []byte, typ uint16, f func([]byte) []byte) []byte {
	at := len(b)
	b = f(appendAttr(b, typ))
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
	return b
}
