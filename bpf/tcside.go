package bpf

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// tcSide is a port's hook in tc, as it was found.
type tcSide struct {
	hook
	tcx     *program
	tcxOK   bool // the kernel has TCX
	first   bool // tcx runs before all others
	clsact  *program
	foreign *ForeignError // who has our place in the clsact qdisc
}

// findSides looks at both hooks. After an error they are to be closed too.
func findSides(l netlink.Link) (sides [directions]tcSide, err error) {
	qdisc, err := hasClsact(l)
	if err != nil {
		return sides, err
	}
	for d, h := range portHooks(l) {
		s := &sides[d]
		s.hook = h
		if s.tcx, s.first, s.tcxOK, err = h.findTCX(); err != nil {
			return sides, err
		}
		if !qdisc {
			continue
		}
		if s.clsact, err = h.findClsact(); err != nil && !errors.As(err, &s.foreign) {
			return sides, err
		}
	}
	return sides, nil
}

func (s *tcSide) Close() { s.tcx.Close(); s.clsact.Close() }

// program is ours and how it is attached. With both, TCX is what frames meet
// first.
func (s *tcSide) program() (*program, Mode) {
	switch {
	case s.tcx != nil:
		return s.tcx, TCX
	case s.clsact != nil:
		return s.clsact, Clsact
	}
	return nil, 0
}

// side tells what program is.
func (s *tcSide) side() Side {
	p, mode := s.program()
	if p == nil {
		return Side{}
	}
	o := p.side(mode, mode == Clsact || s.first)
	o.Twice = s.tcx != nil && s.clsact != nil
	return o
}

// put has p at the hook in the place of what is there, before all others.
func (s *tcSide) put(p *program, mode Mode) error {
	if mode == 0 {
		mode = Clsact
		if s.tcxOK {
			mode = TCX
		}
	}
	if mode == TCX {
		if s.tcx == nil || !s.first || !s.tcx.equal(p) {
			if err := s.attachTCX(p.Program, s.tcx.bare(), s.first); err != nil {
				return err
			}
		}
		if s.clsact != nil {
			return s.detachClsact()
		}
		return nil
	}
	if s.foreign != nil {
		return s.foreign
	}
	if s.clsact == nil || !s.clsact.equal(p) {
		if err := s.attachClsact(p.Program); err != nil {
			return err
		}
	}
	if s.tcx != nil {
		return s.detachTCX(s.tcx.Program)
	}
	return nil
}

// remove takes ours away, if it is there.
func (s *tcSide) remove() error {
	var errs []error
	if s.tcx != nil {
		errs = append(errs, s.detachTCX(s.tcx.Program))
	}
	if s.clsact != nil {
		errs = append(errs, s.detachClsact())
	}
	return errors.Join(errs...)
}
