package bpf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/linux/link"
)

// soaking has each test go through all ways to attach, for long; else there is but
// the way that is chosen.
func soaking() bool { return os.Getenv("LINKSEAL_SOAK") != "" }

// newBattlefield is a wire on which nobody speaks, for two CPUs.
func newBattlefield(t *testing.T) *testWire {
	t.Helper()
	w := newWire(t, link.Queues{Rx: 2, Tx: 2})
	w.quiet(t)
	return w
}

// came is what the filter has counted on ingress.
func came(e *Enforcer) func() (uint64, error) {
	return func() (n uint64, err error) {
		v, err := verdicts(e.maps[portMapIngress])
		for i := range portVerdictVERDICTS {
			n += v.of(i).Packets
		}
		return n, err
	}
}

func (t truth) equals(test *testing.T, got truth) {
	test.Helper()
	if !cmp.Equal(t, got) {
		test.Errorf("counted other than was sent (-sent +counted):\n%s", cmp.Diff(t, got))
	}
	var all Counter
	for name, c := range t {
		if strings.Contains(name, "verdict") || strings.Contains(name, "class") {
			all = Counter{all.Packets + c.Packets, all.Octets + c.Octets}
		}
	}
	fmt.Printf("figure: %s: %d frames of %d octets from two processors, both ways: %d counters are equal to what was sent\n", test.Name(), all.Packets, all.Octets, len(t))
}

// portTruth is a port under fire: of each direction two SAs that stay, one whose
// key changes, and frames that are nobody's.
type portTruth struct {
	*testWire
	sas     *SAs
	crowded bool // more circuits than there is room for
	pn      map[string]*atomic.Uint32
	keys    uint32
	counted truth // of keys that ended
}

const nobody = "nobody"

// name is that of the SA's counters: one for all keys.
func (p *portTruth) name(a SA) string {
	return fmt.Sprintf("%s: SC %x AN %d", a.Direction, a.SCI, a.AN)
}

func (p *portTruth) circuit(d Direction, frame []byte) string {
	if p.crowded {
		return d.String() + ": circuits"
	}
	return circuitOf(d, frame)
}

// stay are the SAs of a direction that have one key.
func stay(d Direction) []SA {
	other := keyed(d, 3, 1)
	other.SCI[7] = 2
	return []SA{keyed(d, 0, 1), other}
}

func (p *portTruth) shots(t *testing.T, d Direction) (all []shot) {
	unknown := keyed(d, 0, 1)
	unknown.SCI[7] = 3
	senders := append(stay(d), keyed(d, 1, 0), keyed(d, 2, 0), unknown)
	vids := [][2]uint16{{0, 0}, {0, 7}, {7, 0}}
	for range 40 {
		vids = append(vids, [2]uint16{1 + uint16(rand.IntN(4094)), 1 + uint16(rand.IntN(4094))})
	}
	if p.crowded {
		for i := range uint16(2400) {
			vids = append(vids, [2]uint16{1 + i/60, 1 + i%60})
		}
	}
	for i, v := range vids {
		for j, a := range senders {
			if p.crowded && i%len(senders) != j {
				continue
			}
			bare := framed(a.SCI, a.AN, 0, 60+rand.IntN(1000))
			f := withTags(bare, v[0], v[1])
			x := shot{frame: f, by: []string{verdictName(d, portVerdictMACSEC), nobody}, pn: p.pn[p.name(a)], at: len(f) - len(bare) + 16}
			if x.pn != nil {
				x.by[1] = p.name(a)
			}
			switch {
			case v == [2]uint16{}:
			case x.pn == nil: // of no key of ours: the rest
				x.by = append(x.by, p.circuit(d, bare))
			default:
				x.by = append(x.by, p.circuit(d, f))
			}
			all = append(all, x)
		}
	}
	for _, tt := range packets {
		v := []portVerdict{tt.in, tt.out}[d]
		plainly := cmp.Equal(tt.filter, plain) && v != portVerdictMACSEC && !strings.Contains(tt.name, "not allowed")
		if plainly || cmp.Equal(tt.filter, everything) && tt.name != "ptp" {
			all = append(all, shot{frame: octets(t, tt.frame, 60), by: []string{verdictName(d, v)}})
		}
	}
	return all
}

// rekey gives both SAs that have many keys another, and settles old accounts but
// the last: a frame may be on its way through the program still.
func (p *portTruth) rekey(t *testing.T) {
	p.keys++
	p.sas.start(t, keyed(Ingress, 1, p.keys))
	p.sas.start(t, keyed(Egress, 1, p.keys))
	ended := slices.DeleteFunc(p.sas.unsettled(t), func(a Account) bool { return a.Until.IsZero() })
	for len(ended) > 4 {
		p.counted.add(p.name(ended[0].SA), ended[0].Counter)
		if err := p.sas.Settle(ended[0]); err != nil {
			t.Fatal(err)
		}
		ended = ended[1:]
	}
}

// accounts adds what is not settled, and looks at the PNs of SAs with one key.
func (p *portTruth) accounts(t *testing.T) {
	for _, a := range p.sas.unsettled(t) {
		p.counted.add(p.name(a.SA), a.Counter)
		if a.AN == 1 {
			continue
		}
		if last := p.pn[p.name(a.SA)].Load(); a.High != last || a.Low == 0 || a.Low > 2*volley || a.Gaps() != 0 {
			t.Errorf("%s: PN %d to %d, %d are missing; the last was %d", a.SA, a.Low, a.High, a.Gaps(), last)
		}
	}
	n, err := p.sas.Nobody()
	if err != nil {
		t.Fatal(err)
	}
	p.counted.add(nobody, n)
}

// Every counter of a port is what the generator has sent, to the octet, while its
// programs are replaced and keys change.
func TestPortTruth(t *testing.T) {
	without := everything
	without.Allow = slices.DeleteFunc(slices.Clone(everything.Allow), func(p Protocol) bool { return p == PTP })
	combinations(t, func(t *testing.T, m modes) {
		for _, crowded := range []bool{false, true} {
			if m != (modes{}) && (m != (modes{Generic, Clsact}) || crowded) && !soaking() {
				continue
			}
			p := &portTruth{testWire: newBattlefield(t), crowded: crowded, pn: map[string]*atomic.Uint32{}, counted: truth{}}
			attach := func(f Filter) (e *Enforcer) {
				spec, err := loadPort()
				if err != nil {
					t.Fatal(err)
				}
				if crowded {
					spec.Maps[portMapCircuits].MaxEntries = 64
				}
				p.do(t, func() (err error) { e, err = attachSpec(p.index(), spec, f, m); return err })
				t.Cleanup(func() { e.Close() })
				return e
			}
			e := attach(everything)
			p.sas = p.testWire.sas(t)
			p.sas.slots = p.sas.slots[:13] // counters are used again
			for d := range Direction(directions) {
				p.pn[p.name(keyed(d, 1, 0))] = new(atomic.Uint32)
				for _, a := range stay(d) {
					p.pn[p.name(a)] = new(atomic.Uint32)
					p.sas.start(t, a)
				}
			}
			p.rekey(t)
			turn := 0
			sent := p.barrage(t, [directions][]shot{p.shots(t, Ingress), p.shots(t, Egress)}, came(e), func() {
				if turn++; turn%4 == 1 {
					attach([]Filter{without, everything}[turn/4%2])
				}
				p.rekey(t)
			})
			p.accounts(t)
			c := e.counters(t)
			p.counted.verdicts(Ingress, c.Ingress)
			p.counted.verdicts(Egress, c.Egress)
			circuits, err := e.OuterCircuits()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range circuits {
				name := circuitName(c.Direction, c.STag, c.CTag)
				if crowded {
					name = c.Direction + ": circuits"
				}
				p.counted.add(name, c.Counter)
			}
			if crowded && len(circuits) >= directions*2400 {
				t.Errorf("%d circuits had room: nothing is tested", len(circuits))
			}
			sent.equals(t, p.counted)
		}
	})
}

// The same of a tunnel's underlay: verdicts and flows, while prefixes and other
// flows come and go, and its programs are replaced.
func TestUnderlayTruth(t *testing.T) {
	others := hub
	others.Protect = append([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, hub.Protect...)
	others.Flows = append([]Flow{{Protocol: IPsec, Local: local4, Remote: netip.MustParseAddr("198.51.100.1"), AnySPI: true}}, hub.Flows...)
	model, err := newModel(hub)
	if err != nil {
		t.Fatal(err)
	}
	combinations(t, func(t *testing.T, m modes) {
		if m != (modes{}) && !soaking() {
			return
		}
		w := newBattlefield(t)
		e := w.attach(t, overlay, m)
		var shots [directions][]shot
		for _, tt := range underlayPackets {
			if !cmp.Equal(tt.filter, overlay, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
				continue
			}
			for d := range Direction(directions) {
				x := shot{frame: octets(t, tt.frame, 60), by: []string{verdictName(d, []portVerdict{tt.in, tt.out}[d])}}
				if v, id := model.judge(x.frame, d == Egress); v == portVerdictTUNNEL {
					x.by = append(x.by, fmt.Sprintf("flow %+v", id))
				}
				shots[d] = append(shots[d], x)
			}
		}
		turn := 0
		sent := w.barrage(t, shots, came(e), func() {
			turn++
			next := []Underlay{hub, others}[turn%2]
			if turn%4 == 1 {
				f := overlay
				f.Underlay = &next
				f.Allow = [][]Protocol{{LLDP}, nil}[turn/4%2]
				w.attach(t, f, m)
			} else if err := e.SetUnderlay(next); err != nil {
				t.Error(err)
			}
		})
		got, c := truth{}, e.counters(t)
		got.verdicts(Ingress, c.Ingress)
		got.verdicts(Egress, c.Egress)
		flows, err := e.Flows()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			got.add(fmt.Sprintf("flow %+v", f.FlowID), f.Counter)
		}
		sent.equals(t, got)
	})
}

// The same of a secured interface: circuits and classes, while a class comes and
// goes.
func TestTagsTruth(t *testing.T) {
	never := rule("never", func(r *Rule) { r.STag, r.Direction = 4000, OfBoth })
	tagModes(t, func(t *testing.T, m Mode) {
		if m != 0 && !soaking() {
			return
		}
		w := newBattlefield(t)
		w.tag(t, w.port, m, classed...)
		var shots [directions][]shot
		for _, tt := range tagPackets {
			for d := range Direction(directions) {
				f := octets(t, tt.frame, 60)
				shots[d] = append(shots[d], shot{frame: f, by: []string{circuitOf(d, f), fmt.Sprintf("%s: class %q", d, []string{tt.in, tt.out}[d])}})
			}
		}
		var tg taggers
		w.do(t, func() (err error) { tg, err = findTaggers(w.port); return errors.Join(err, tg.open()) })
		defer tg.Close()
		seen := func() (n uint64, err error) {
			for slot := range uint32(len(classed)) + 1 {
				c, err := trafficAt(tg[Ingress].maps[securedMapClasses], slot*directions, ticks{})
				if err != nil {
					return 0, err
				}
				n += c.Packets
			}
			return n, nil
		}
		turn := 0
		sent := w.barrage(t, shots, seen, func() {
			turn++
			w.tag(t, w.port, m, [][]Rule{classed, append(slices.Clone(classed), never)}[turn%2]...)
			w.read(t, w.port)
		})
		got, r := truth{}, w.read(t, w.port)
		for _, c := range r.Circuits {
			got.add(circuitName(c.Direction, c.STag, c.CTag), c.Counter)
		}
		for _, c := range r.Classes {
			got.add(fmt.Sprintf("%s: class %q", c.Direction, c.Name), c.Counter)
		}
		sent.equals(t, got)
	})
}
