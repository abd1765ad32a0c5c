package mka

import (
	"bytes"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Member is a CKN that MKPDUs are accepted under, and who sends them.
type Member struct {
	CKN   []byte
	Peers []Sender // live and potential ones
}

// Sender is a peer by what its MKPDUs have in clear.
type Sender struct {
	Source [6]byte // address, of the last that was authentic
	MI     sa.MI
}

// noMembers is the digest of none.
const noMembers = 14695981039346656037

// Generation is another number whenever Members is another list; 0 is that of
// none, from the start on.
func (e *Entity) Generation() uint64 { return e.generation }

// Members lists the participants with their peers.
func (e *Entity) Members() []Member {
	all := make([]Member, 0, len(e.participants))
	for _, p := range e.participants {
		m := Member{CKN: bytes.Clone(p.ckn)}
		for i := range p.peers {
			m.Peers = append(m.Peers, Sender{p.peers[i].source, p.peers[i].mi})
		}
		all = append(all, m)
	}
	return all
}

// noteMembers makes a new generation when the members' digest (FNV-1a) is
// another one. All that it is made of is authentic.
func (e *Entity) noteMembers() {
	sum := uint64(noMembers)
	add := func(octets []byte) {
		for _, b := range octets {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
	}
	for _, p := range e.participants {
		add([]byte{byte(len(p.ckn)), byte(len(p.peers))})
		add(p.ckn)
		for i := range p.peers {
			add(p.peers[i].source[:])
			add(p.peers[i].mi[:])
		}
	}
	if sum != e.members {
		e.members = sum
		e.generation++
	}
}
