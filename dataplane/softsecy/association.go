package softsecy

import (
	"crypto/cipher"
	"encoding/binary"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// saKey is what the frames of one SA have in common. Goroutines share it.
type saKey struct {
	key    sa.KeyID
	aead   cipher.AEAD
	offset int
	// The IV of PN 0: that of another PN is it with the last 8 octets, as a
	// number, xor the PN; with 32-bit PNs as with XPN (802.1AE 14.5, 14.7).
	head uint32
	tail uint64
}

func newSAKey(k *Key, sci sa.SCI, n *sa.SA) saKey {
	iv := IV32(sci, 0)
	if k.suite.XPN() {
		iv = IVXPN(n.SSCI, 0, n.Salt)
	}
	return saKey{key: n.Key, aead: k.aead, offset: k.offset,
		head: binary.BigEndian.Uint32(iv[:]), tail: binary.BigEndian.Uint64(iv[4:])}
}

func (k *saKey) iv(iv *IV, pn uint64) {
	binary.BigEndian.PutUint32(iv[:], k.head)
	binary.BigEndian.PutUint64(iv[4:], k.tail^pn)
}

// moveAddresses copies DA and SA.
func moveAddresses(to, from []byte) {
	_, _ = to[addresses-1], from[addresses-1]
	da, sa := binary.NativeEndian.Uint64(from), binary.NativeEndian.Uint32(from[8:])
	binary.NativeEndian.PutUint64(to, da)
	binary.NativeEndian.PutUint32(to[8:], sa)
}
