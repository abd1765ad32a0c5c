package bpf

import (
	"errors"
	"fmt"
	gomaps "maps" // load.go has a function of that name
	"slices"

	"github.com/cilium/ebpf"
)

// Of eapol.h.
const (
	maxCKN    = len(portCkn{}.Octets)
	maxCKNs   = 64 // the number 0 is nobody's
	maxPeers  = 2048
	strangers = 0 // the budget of EAPOL under no CKN of ours
)

// Member is a CKN of the port's participants, and who was heard under it.
type Member struct {
	CKN   []byte // 1 to 32 octets
	Peers []Peer
}

// Peer is the sender of an MKPDU: its source address and its MI.
type Peer struct {
	Address [6]byte
	MI      [12]byte
}

// Limit is who may speak EAPOL to a device without a budget. From the first
// Set on, ingress drops, as Verdicts.EAPOLLimited, what is over the budget of
// its sender, also where the filter is CountOnly.
type Limit struct{ ckns, peers, budgets *ebpf.Map }

// OpenLimit finds the filter that is attached to the device with that index in
// the calling thread's network namespace. Errors are ErrNotAttached, and that
// the filter is another version's.
func OpenLimit(ifindex int) (*Limit, error) {
	e, err := open(ifindex, portMapEapolCkns, portMapEapolPeers, portMapEapolBudgets)
	if err != nil {
		return nil, err
	}
	l := &Limit{e.maps[portMapEapolCkns], e.maps[portMapEapolPeers], e.maps[portMapEapolBudgets]}
	if l.ckns == nil || l.peers == nil || l.budgets == nil {
		return nil, errors.Join(fmt.Errorf("bpf: EAPOL limit of device %d: %w", ifindex, errOtherVersion), l.Close())
	}
	return l, nil
}

// Set makes members all that are known, in place of those of another process
// too. Whoever is in both is known all the time. A CKN without peers keeps those
// that it had: it is they who will come back, after a restart of either end or
// when the circuit does. When not all fit in, or the
// kernel refuses, nothing is limited any more, and the error says why.
func (l *Limit) Set(members []Member) error {
	err := l.set(members)
	on := portBudget{Limits: 1}
	if err != nil {
		on.Limits = 0
	}
	var now portBudget
	if at := l.budgets.Lookup(uint32(strangers), &now); at == nil && now.Limits == on.Limits {
		return err
	}
	return errors.Join(err, l.budgets.Put(uint32(strangers), on))
}

func (l *Limit) set(members []Member) error {
	had, err := entries[portCkn, uint32](l.ckns)
	if err != nil {
		return fmt.Errorf("bpf: CKNs that are not limited: %w", err)
	}
	numbers, err := cknNumbers(members, had)
	if err != nil {
		return err
	}
	before, err := entries[portEapolPeer, uint8](l.peers)
	if err != nil {
		return fmt.Errorf("bpf: peers that are not limited: %w", err)
	}
	want := make(map[portEapolPeer]bool)
	for _, m := range members {
		k := ckn(m.CKN)
		for p := range before {
			if len(m.Peers) == 0 && had[k] != 0 && p.Ckn == uint8(numbers[k]) {
				want[p] = true
			}
		}
		for _, p := range m.Peers {
			want[portEapolPeer{Mac: p.Address, Ckn: uint8(numbers[k]), Mi: p.MI}] = true
		}
	}
	for _, p := range slices.Collect(gomaps.Keys(want)) {
		want[portEapolPeer{Mac: p.Mac}] = true // under any CKN and MI: it may rotate, and restart
	}
	if len(want) > maxPeers {
		return fmt.Errorf("bpf: more peers than the %d that EAPOL is limited with", maxPeers/2)
	}
	// A number is given to another CKN when the peers under it have gone, and
	// a CKN comes when its peers are there.
	for k := range had {
		if _, ok := numbers[k]; !ok {
			err = errors.Join(err, drop(l.ckns, k))
		}
	}
	err = errors.Join(err, become(l.peers, before, want))
	for k, n := range numbers {
		if had[k] != n {
			err = errors.Join(err, l.ckns.Put(k, n))
		}
	}
	if err != nil {
		return fmt.Errorf("bpf: who may speak EAPOL without limit: %w", err)
	}
	return nil
}

func ckn(octets []byte) portCkn {
	k := portCkn{Size: uint32(len(octets))}
	copy(k.Octets[:], octets)
	return k
}

// cknNumbers gives each member's CKN its number: the one that it had, or a free one.
func cknNumbers(members []Member, had map[portCkn]uint32) (map[portCkn]uint32, error) {
	numbers := make(map[portCkn]uint32, len(members))
	taken := [maxCKNs]bool{0: true}
	for _, m := range members {
		if len(m.CKN) == 0 || len(m.CKN) > maxCKN {
			return nil, fmt.Errorf("bpf: a CKN of %d octets: 1 to %d are accepted", len(m.CKN), maxCKN)
		}
		if k := ckn(m.CKN); had[k] > 0 && had[k] < maxCKNs {
			numbers[k], taken[had[k]] = had[k], true
		}
	}
	next := uint32(1)
	for _, m := range members {
		if numbers[ckn(m.CKN)] != 0 {
			continue
		}
		for next < maxCKNs && taken[next] {
			next++
		}
		if next == maxCKNs {
			return nil, fmt.Errorf("bpf: %d CKNs on a port; EAPOL is limited with %d at the most", len(members), maxCKNs-1)
		}
		numbers[ckn(m.CKN)], taken[next] = next, true
	}
	return numbers, nil
}

// become leaves in m, which had those, the peers of want and no others.
func become(m *ebpf.Map, had map[portEapolPeer]uint8, want map[portEapolPeer]bool) (err error) {
	for k := range had {
		if !want[k] {
			err = errors.Join(err, drop(m, k))
		}
	}
	for k := range want {
		if _, there := had[k]; !there {
			err = errors.Join(err, m.Put(k, uint8(1)))
		}
	}
	return err
}

// entries are all of a map.
func entries[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	all := make(map[K]V)
	var k K
	for i := m.Iterate(); ; {
		var v V // of its own: it may be of all CPUs
		if !i.Next(&k, &v) {
			return all, i.Err()
		}
		all[k] = v
	}
}

func drop(m *ebpf.Map, key any) error {
	if err := m.Delete(key); !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// Close lets go of the filter, which goes on with who is known.
func (l *Limit) Close() error {
	var errs []error
	for _, m := range []*ebpf.Map{l.ckns, l.peers, l.budgets} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}
