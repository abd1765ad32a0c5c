package userspace

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/tests/azure"
	"github.com/linkseal/linkseal/tests/kill"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestRotateKilled kills west's daemon, its helper alone, or the verb, in the
// middle of a rotation: at each call to the vault, before it does what is asked
// and when it has, and the daemon before each change of its state directory, the
// journal's and the sealed keys' too. The daemon is started and the verb run
// again: both ends encode under the one pair that is left, none is mixed, and
// nothing was in clear.
func TestRotateKilled(t *testing.T) {
	var mu sync.Mutex
	struck := map[victim][]string{}
	noted := func(who victim, at string) {
		mu.Lock()
		defer mu.Unlock()
		struck[who] = append(struck[who], at)
	}
	t.Run("killed", func(t *testing.T) {
		if soak() {
			everyStep(t, noted)
		} else {
			someSteps(t, noted)
		}
	})
	for who, all := range struck {
		figure(t, "linkseal rotate, %s killed %d times, each ended right: at %s", who, len(all), strings.Join(all, ", "))
	}
	if len(struck) < 3 {
		t.Errorf("killed were only %v", struck)
	}
}

// everyStep has each call and each step be the last.
func everyStep(t *testing.T, noted func(victim, string)) {
	for _, b := range []blow{{who: daemon}, {who: daemon, done: true}, {who: helper}, {who: helper, done: true}, {who: verb}} {
		t.Run(fmt.Sprintf("%s, done %v", b.who, b.done), func(t *testing.T) {
			t.Parallel()
			k := newKillable(t, false)
			for n := 0; ; n++ {
				b.call = azure.Fault{Skip: n}
				at := k.dies(t, b)
				if at == "" {
					break
				}
				noted(b.who, at)
			}
		})
	}
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, true)
		for n := 0; ; n++ {
			left := n
			at := k.dies(t, blow{who: daemon, step: func(kill.Step) bool { left--; return left < 0 }})
			if at == "" {
				break
			}
			noted(daemon, at)
		}
	})
}

// someSteps has those be the last that matter most: the pair is half written,
// half retired, the journal is about to be replaced.
func someSteps(t *testing.T, noted func(victim, string)) {
	journal := func(s kill.Step) bool { return s.String() == "renameat rotations/link1.json" }
	for i, all := range [][]blow{
		{{who: daemon, call: azure.Fault{Op: azure.OpSet, Secret: lab.CAKSecret}}},
		{{who: daemon, call: azure.Fault{Op: azure.OpUpdate, Skip: 1}}},
		{{who: daemon, step: journal}},
		{
			{who: helper, call: azure.Fault{Op: azure.OpSet, Secret: lab.CKNSecret}, done: true},
			{who: verb, call: azure.Fault{Op: azure.OpSet, Secret: lab.CAKSecret}, done: true},
		},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			k := newKillable(t, false)
			for _, b := range all {
				at := k.dies(t, b)
				if at == "" {
					t.Fatalf("%s has not come to its end at %+v", b.who, b.call)
				}
				noted(b.who, at)
			}
		})
	}
}
