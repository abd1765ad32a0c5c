package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
)

// prefixKey is struct prefix of protect.h, which the object does not describe.
// Its size is that of the map's key: TestPrefixKey.
type prefixKey struct {
	Length  uint32 // bits of what follows
	Family  uint32
	Address [16]byte
}

func keyOf(p netip.Prefix) prefixKey {
	a := p.Addr()
	k := prefixKey{Length: uint32(32 + p.Bits()), Family: 6}
	if a.Is4() {
		k.Family = 4
	}
	copy(k.Address[:], a.AsSlice())
	return k
}

// prefix is the inverse of keyOf.
func (k prefixKey) prefix() (netip.Prefix, error) {
	a := netip.AddrFrom16(k.Address)
	if k.Family == 4 {
		a = netip.AddrFrom4([4]byte(k.Address[:4]))
	}
	p := netip.PrefixFrom(a, int(k.Length)-32)
	if !p.IsValid() {
		return p, fmt.Errorf("map %s: %d bits of family %d are no prefix", portMapProtect, k.Length, k.Family)
	}
	return p, nil
}

// replace puts a set into the slot in one step, and waits for programs that run
// with another (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
func replace(slot *ebpf.Map, prefixes []netip.Prefix) error {
	spec, err := portSpec()
	if err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	set, err := ebpf.NewMap(spec.Maps[portMapProtect].InnerMap)
	if err != nil {
		return fmt.Errorf("make a set of prefixes: %w", remedy(err))
	}
	defer set.Close()
	for _, p := range prefixes {
		if err := set.Put(keyOf(p), uint32(0)); err != nil {
			return fmt.Errorf("protect %s: %w", p, err)
		}
	}
	if err := slot.Put(uint32(0), set); err != nil {
		return fmt.Errorf("replace the set of protected prefixes: %w", remedy(err))
	}
	return nil
}

// protected reads the set in the slot, which program of has, sorted. ok is false where
// there is none.
func protected(of ebpf.ProgramID, slot *ebpf.Map) (prefixes []netip.Prefix, ok bool, err error) {
	set, err := innerMap(of, slot)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, fmt.Errorf("open the set of protected prefixes: %w", remedy(err))
	}
	defer set.Close()
	var k prefixKey
	var v uint32
	all := set.Iterate()
	for all.Next(&k, &v) {
		p, err := k.prefix()
		if err != nil {
			return nil, false, err
		}
		prefixes = append(prefixes, p)
	}
	if err := all.Err(); err != nil {
		return nil, false, fmt.Errorf("read the set of protected prefixes: %w", err)
	}
	slices.SortFunc(prefixes, comparePrefixes)
	return prefixes, true, nil
}
