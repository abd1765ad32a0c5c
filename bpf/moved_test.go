package bpf

import (
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/netns"
)

// A device that is moved to another network namespace takes its programs along,
// there and back, but a clsact qdisc: that, where there is no TCX, is put back
// after it.
func TestMoved(t *testing.T) {
	everywhere(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.attach(t, plain, m)
		was := w.observe(t)
		elsewhere, err := netns.New("")
		if err != nil {
			t.Fatal(err)
		}
		defer elsewhere.Close()
		move := func(from, to *netns.NS) (s State) {
			t.Helper()
			name := "port"
			err := from.Do(func() error {
				l, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				return netlink.LinkSetNsFd(l, to.Fd())
			})
			if err != nil {
				t.Fatal(err)
			}
			err = to.Do(func() error {
				l, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				w.port = l
				s, err = Observe(l.Attrs().Index)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		for _, s := range []State{move(w.ns, elsewhere), move(elsewhere, w.ns)} {
			if was.Ingress.Mode != Clsact && s.Ingress.Mode != was.Ingress.Mode || was.Egress.Mode == TCX && !s.Enforces(plain) {
				t.Errorf("ingress %s, egress %s became %s and %s", was.Ingress.Mode, was.Egress.Mode, s.Ingress.Mode, s.Egress.Mode)
			}
			if was.Egress.Mode == Clsact && s.Egress.Mode != 0 || was.Ingress.Mode == Clsact && s.Ingress.Mode != 0 {
				t.Errorf("the qdisc came along: say so in doc.go")
			}
		}
		w.attach(t, plain, modes{})
		if s := w.observe(t); !s.Enforces(plain) {
			t.Errorf("observed %+v", s)
		}
		fmt.Printf("figure: moved to another namespace and back: %s stays: %t, %s stays: %t\n", was.Ingress.Mode, was.Ingress.Mode != Clsact, was.Egress.Mode, was.Egress.Mode == TCX)
	})
}
