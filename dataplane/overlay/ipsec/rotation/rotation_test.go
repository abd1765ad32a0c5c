package rotation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func active(ids ...string) (ps []PSK) {
	for _, id := range ids {
		ps = append(ps, PSK{ID: id, Active: true})
	}
	return ps
}

func say(as []Action) string {
	var words []string
	for _, a := range as {
		switch a.Kind {
		case Load:
			words = append(words, "load "+a.ID)
		case Unload:
			words = append(words, "unload "+a.ID)
		case Reauth:
			words = append(words, fmt.Sprintf("anew %d", a.Member))
		case End:
			words = append(words, fmt.Sprintf("end %d", a.SA))
		}
	}
	return strings.Join(words, ", ")
}

// step is one Step of a story: what is told, and what is answered.
type step struct {
	at   float64
	psks []PSK
	sas  []SA
	want string
}

func ours(id uint32) SA   { return SA{ID: id, Initiator: true} }
func theirs(id uint32) SA { return SA{ID: id} }

func TestStories(t *testing.T) {
	cut := []PSK{{ID: "b", Active: true}, {ID: "a", Cut: true}}
	fallback := []PSK{{ID: "b", Active: true}, {ID: "f", Active: true, Fallback: true}}
	for _, c := range []struct {
		name  string
		steps []step
		key   string // of member 0 in the end
	}{
		{"one PSK", []step{{0, active("a"), nil, "load a"}, {1, active("a"), []SA{ours(1)}, ""}, {9, active("a"), []SA{ours(1)}, ""}}, "a"},
		{"none yet", []step{{0, nil, nil, ""}, {1, []PSK{{ID: "a"}}, nil, ""}}, ""},
		{"we began it: at once, and the old one goes when the new IKE_SA is there", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), []SA{ours(1)}, ""},
			{10, active("b", "a"), []SA{ours(1)}, "load b"},
			{10.1, active("b", "a"), []SA{ours(1)}, "anew 0"},
			{10.2, active("b", "a"), []SA{ours(1)}, ""},
			{10.5, active("b", "a"), []SA{ours(1), ours(2)}, "unload a"},
			{12, active("b", "a"), []SA{ours(2)}, ""},
		}, "b"},
		{"they began it: they have the first word, and what they made may be under either", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), []SA{theirs(1)}, ""},
			{10, active("b", "a"), []SA{theirs(1)}, "load b"},
			{12, active("b", "a"), []SA{theirs(1)}, ""},
			{13, active("b", "a"), []SA{theirs(1), theirs(2)}, ""},
			{17.9, active("b", "a"), []SA{theirs(2)}, ""},
			{18, active("b", "a"), []SA{theirs(2)}, "anew 0"},
			{18.2, active("b", "a"), []SA{theirs(2), ours(3)}, "unload a"},
		}, "b"},
		{"they say nothing", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), []SA{theirs(1)}, ""},
			{10, active("b", "a"), []SA{theirs(1)}, "load b"},
			{24.9, active("b", "a"), []SA{theirs(1)}, ""},
			{25, active("b", "a"), []SA{theirs(1)}, "anew 0"},
		}, "a"},
		{"an IKE_SA that was under way when the PSK came may be under either", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), nil, ""},
			{10, active("b", "a"), nil, "load b"},
			{10.1, active("b", "a"), []SA{ours(1)}, "anew 0"},
		}, ""},
		{"they do not have it: again, ever more seldom, and nothing is unloaded", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), []SA{ours(1)}, ""},
			{10, active("b", "a"), []SA{ours(1)}, "load b"},
			{11, active("b", "a"), []SA{ours(1)}, "anew 0"},
			{30.9, active("b", "a"), []SA{ours(1)}, ""},
			{31, active("b", "a"), []SA{ours(1)}, ""},
			{36, active("b", "a"), []SA{ours(1)}, "anew 0"},
			{56, active("b", "a"), []SA{ours(1)}, ""},
			{65, active("b", "a"), []SA{ours(1)}, ""},
			{66, active("b", "a"), []SA{ours(1)}, "anew 0"},
		}, "a"},
		{"a PSK that is over stays until the tunnel is under another", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), []SA{ours(1)}, ""},
			{2, []PSK{{ID: "a"}}, []SA{ours(1)}, ""},
			{3, nil, []SA{ours(1)}, ""},
			{4, active("b"), []SA{ours(1)}, "load b"},
			{5, active("b"), []SA{ours(1)}, "anew 0"},
			{6, active("b"), []SA{ours(2)}, "unload a"},
		}, "b"},
		{"a PSK that is cut ends what is under it", []step{
			{0, active("a"), nil, "load a"}, {1, active("a"), []SA{ours(1)}, ""},
			{2, cut, []SA{ours(1)}, "load b"},
			{3, cut, []SA{ours(1)}, "unload a, end 1, anew 0"},
		}, "a"},
		{"a fallback is accepted always", []step{
			{0, fallback, nil, "load f, load b"}, {1, fallback, nil, ""}, {2, fallback, []SA{ours(1)}, ""}, {9, fallback, []SA{ours(1)}, ""},
		}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s State
			for _, st := range c.steps {
				if got := say(s.Step(at(st.at), st.psks, st.sas, 1)); got != st.want {
					t.Errorf("at %v: %q, want %q", st.at, got, st.want)
				}
			}
			if got := s.Key(0); got != c.key {
				t.Errorf("the member is under %q, want %q", got, c.key)
			}
		})
	}
}

func TestAdopted(t *testing.T) {
	var s State
	s.Adopt([]string{"a"})
	if got := say(s.Step(t0, active("a"), []SA{theirs(5)}, 1)); got != "" || s.Key(0) != "a" {
		t.Errorf("one PSK: %q, %q", got, s.Key(0))
	}
	s = State{}
	s.Adopt([]string{"a", "b"})
	if got := say(s.Step(t0, active("b", "a"), []SA{ours(5)}, 1)); got != "anew 0" || s.Key(0) != "" {
		t.Errorf("two: %q, %q", got, s.Key(0))
	}
	s.Renumbered(5, 6)
	s = State{}
	s.Adopt([]string{"a#1"})
	if got := say(s.Step(t0, active("a#2"), []SA{theirs(5)}, 1)); got != "load a#2" || s.Key(0) != "a#1" {
		t.Errorf("other octets: %q, %q", got, s.Key(0))
	}
}

// world is two ends and their charon's rules: an IKE_SA comes about if the
// responder accepts what the initiator has loaded last, and the other way round.
type world struct {
	now  time.Time
	next uint32
	sas  map[int]sa // by member
	end  [2]State
	has  [2][]string // loaded, the last is its own
}

type sa struct {
	id    uint32
	began int // which end
	under string
}

func (w *world) begin(t *rapid.T, end, member int) {
	other := 1 - end
	if len(w.has[end]) == 0 || len(w.has[other]) == 0 {
		return
	}
	mine, yours := w.has[end][len(w.has[end])-1], w.has[other][len(w.has[other])-1]
	if !slices.Contains(w.has[other], mine) || !slices.Contains(w.has[end], yours) {
		return
	}
	w.next++
	w.sas[member] = sa{w.next, end, mine}
}

func (w *world) turn(t *rapid.T, end int, psks []PSK, members int) {
	var sas []SA
	for n, s := range w.sas {
		sas = append(sas, SA{Member: n, ID: s.id, Initiator: s.began == end})
	}
	for _, a := range w.end[end].Step(w.now, psks, sas, members) {
		switch a.Kind {
		case Load:
			w.has[end] = append(slices.DeleteFunc(w.has[end], func(id string) bool { return id == a.ID }), a.ID)
		case Unload:
			w.has[end] = slices.DeleteFunc(w.has[end], func(id string) bool { return id == a.ID })
			if len(w.has[end]) == 0 {
				t.Fatalf("end %d has unloaded all", end)
			}
		case Reauth:
			w.begin(t, end, a.Member)
		}
	}
	if !slices.Equal(w.has[end], w.end[end].loaded) {
		t.Fatalf("end %d has %q and believes %q", end, w.has[end], w.end[end].loaded)
	}
}

// Two ends whose new PSK starts at any two times end up under it, with the old
// one refused, and what is established stays so all the while.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.IntRange(1, 3).Draw(t, "members")
		w := world{now: t0, sas: map[int]sa{}}
		var starts [2]time.Time
		for end := range starts {
			starts[end] = t0.Add(time.Minute + time.Duration(rapid.IntRange(0, 120).Draw(t, "start"))*time.Second)
		}
		for w.now.Before(t0.Add(8 * time.Minute)) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(300, 3000).Draw(t, "ms")) * time.Millisecond)
			for end := range 2 {
				psks := active("a")
				if !w.now.Before(starts[end]) {
					psks = active("b", "a")
				}
				w.turn(t, end, psks, members)
			}
			for n := range members {
				if _, up := w.sas[n]; !up {
					w.begin(t, rapid.IntRange(0, 1).Draw(t, "who"), n)
				}
			}
		}
		for end := range 2 {
			if !slices.Equal(w.has[end], []string{"b"}) {
				t.Errorf("end %d, from %v on, has %q", end, starts[end].Sub(t0), w.has[end])
			}
		}
		for n := range members {
			if w.sas[n].under != "b" {
				t.Errorf("member %d is under %q", n, w.sas[n].under)
			}
		}
	})
}
