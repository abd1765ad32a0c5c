package mkpdu

import (
	"encoding/binary"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

const peerLen = 16 // octets of an entry: MI 12, MN 4

// PeerList is the body of a Live or Potential Peer List: for each peer its MI
// (12 octets) and the MN (4, big-endian) last received from it.
type PeerList []byte

// Len is the number of peers.
func (l PeerList) Len() int { return len(l) / peerLen }

// At gives the peer at i, from 0 to Len()-1.
func (l PeerList) At(i int) (mi sa.MI, mn uint32) {
	e := l[i*peerLen:][:peerLen]
	return sa.MI(e), binary.BigEndian.Uint32(e[len(mi):])
}

// Find looks mi up and gives the first MN listed for it.
func (l PeerList) Find(mi sa.MI) (mn uint32, ok bool) {
	for ; len(l) >= peerLen; l = l[peerLen:] {
		if sa.MI(l) == mi {
			return binary.BigEndian.Uint32(l[len(mi):]), true
		}
	}
	return 0, false
}

// Append adds a peer at the end. It never writes into the frame that l was
// parsed from.
func (l PeerList) Append(mi sa.MI, mn uint32) PeerList {
	return binary.BigEndian.AppendUint32(append(l, mi[:]...), mn)
}
