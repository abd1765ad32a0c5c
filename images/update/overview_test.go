package update

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/images/bundle/bundletest"
	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/slot"
)

const oldVersion, newVersion = "1.0", "2.0"

// uki is one on the EFI system partition.
func uki(t *testing.T, name string) slot.UKI {
	t.Helper()
	e, ok := slot.ParseEntry(name)
	if !ok {
		t.Fatal(name)
	}
	return slot.UKI{Entry: e, Boot: bundletest.Boot(e.Version)}
}

func TestOverview(t *testing.T) {
	at := time.Date(2026, 11, 26, 17, 0, 0, 0, time.UTC)
	record := &health.Record{Version: newVersion, From: oldVersion, Slot: "b", Time: at}
	failure := func(version string, when time.Time, why string) health.Result {
		return health.Result{Version: version, Time: when, Reasons: []string{why}}
	}
	for name, c := range map[string]struct {
		runs    string
		ukis    []string
		record  *health.Record
		results []health.Result
		spoil   func(s *seen)
		want    string // running / other / last update, its reasons
	}{
		"as written to a disk": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi"}, want: "1.0 good / empty / none"},
		"just installed":       {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+3.efi"}, record: record, want: "1.0 good / 2.0 trial 3 / waiting"},
		"on trial":             {runs: newVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+2-1.efi"}, record: record, want: "2.0 trial 2 / 1.0 good / on trial"},
		"on its last try":      {runs: newVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+0-3.efi"}, record: record, want: "2.0 trial 0 / 1.0 good / on trial"},
		"it holds":             {runs: newVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0.efi"}, record: record, results: []health.Result{failure(newVersion, at.Add(time.Minute), "at first")}, want: "2.0 good / 1.0 good / good"},
		"it failed": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+0-3.efi"}, record: record,
			results: []health.Result{failure(newVersion, at.Add(time.Minute), "first"), failure(newVersion, at.Add(-2*time.Minute), "no daemon"), {Version: oldVersion, Time: at.Add(time.Hour)}},
			want:    "1.0 good / 2.0 failed / failed: no daemon"},
		"it failed before it could say": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+0-3.efi"}, record: record,
			results: []health.Result{failure("1.9", at.Add(-time.Hour), "long ago")}, want: "1.0 good / 2.0 failed / failed: none of its 3 boots came to the end"},
		"the install was cut": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi"}, record: record, want: "1.0 good / empty / interrupted"},
		"the install goes on": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi"}, record: record, spoil: func(s *seen) { s.installing = true }, want: "1.0 good / empty / installing"},
		"cut before it began": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_1.5.efi"}, record: record, spoil: func(s *seen) { s.other = bundletest.Boot("1.5") }, want: "1.0 good / 1.5 good / interrupted"},
		"a newer one since":   {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_3.0.efi"}, record: record, spoil: func(s *seen) { s.other = bundletest.Boot("3.0") }, want: "1.0 good / 3.0 good / gone"},
		"another root in the slot": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+3.efi"}, record: record,
			spoil: func(s *seen) { s.other = bundletest.Boot("1.9") }, want: "1.0 good / 2.0 broken linkseal_2.0+3.efi boots a root that the slot has not / failed: linkseal_2.0+3.efi boots"},
		"a torn UKI": {runs: oldVersion, ukis: []string{"linkseal_1.0.efi", "linkseal_2.0+3.efi"},
			spoil: func(s *seen) { s.ukis[1].Err = errors.New("not a UKI") }, want: "1.0 good / 2.0 broken linkseal_2.0+3.efi: not a UKI / none"},
		"its own UKI is gone": {runs: oldVersion, want: "1.0 broken its kernel image is not on the EFI system partition / empty / none"},
	} {
		t.Run(name, func(t *testing.T) {
			s := seen{run: Running{Version: c.runs, Boot: bundletest.Boot(c.runs)}, record: c.record, results: c.results}
			s.disk.Running.Name, s.disk.Other.Name = "a", "b"
			s.other = bundletest.Boot(newVersion)
			if c.runs == newVersion {
				s.disk.Running.Name, s.disk.Other.Name = "b", "a"
				s.other = bundletest.Boot(oldVersion)
			}
			for _, name := range c.ukis {
				s.ukis = append(s.ukis, uki(t, name))
			}
			if c.spoil != nil {
				c.spoil(&s)
			}
			o := s.overview()
			got := strings.Join([]string{short(o.Running), short(o.Other), last(o.Last)}, " / ")
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			text := o.Text()
			for _, must := range append(append([]string{}, c.runs, o.Other.Problem), reasons(o.Last)...) {
				if !strings.Contains(text, must) {
					t.Errorf("%q is not in\n%s", must, text)
				}
			}
		})
	}
}

func short(v Version) string {
	words := []string{v.Version, v.State}
	if v.TriesLeft != nil {
		words = append(words, string(rune('0'+*v.TriesLeft)))
	}
	return strings.TrimSpace(strings.Join(append(words, v.Problem), " "))
}

func last(u *Update) string {
	if u == nil {
		return "none"
	}
	if len(u.Reasons) > 0 {
		return u.Result + ": " + strings.Join(u.Reasons, "; ")
	}
	return u.Result
}

func reasons(u *Update) []string {
	if u == nil {
		return []string{"none"}
	}
	return u.Reasons
}
