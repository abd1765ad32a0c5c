package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

func keyed(n int) Account {
	return Account{Direction: Egress, SCI: "0200000000010001", AN: uint8(n % 4), Key: fmt.Sprintf("0102030405060708090a0b0c/%d", n), From: at(n)}
}

func ended(a Account, minute int) Account {
	to := at(minute)
	a.To = &to
	return a
}

func restart(t interface{ Fatal(...any) }, l Ledger) Ledger {
	current, err := l.EncodeCurrent()
	if err != nil {
		t.Fatal(err)
	}
	end, err := l.EncodeEnded()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(current, end)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A key's life: it begins, has a name, is counted over a restart, ends, and is
// told again until it is settled.
func TestLife(t *testing.T) {
	var l Ledger
	a := keyed(1)
	a.Octets = 100
	if l.Update([]Account{a}, map[string]string{a.Key: "01"}, at(1)) {
		t.Error("a key that begins has ended")
	}
	l = restart(t, l)
	a.Octets = 200
	l.Update([]Account{a}, nil, at(2))
	if len(l.Current) != 1 || l.Current[0].CKN != "01" || l.Current[0].Octets != 200 {
		t.Errorf("%+v", l)
	}
	a = ended(a, 3)
	if !l.Update([]Account{a, keyed(2)}, nil, at(3)) || l.Update([]Account{a, keyed(2)}, nil, at(4)) {
		t.Error("it ends once")
	}
	if len(l.Ended) != 1 || l.Ended[0].CKN != "01" || len(l.Current) != 1 || l.Current[0].Key != keyed(2).Key {
		t.Errorf("%+v", l)
	}
	a.Octets++ // a frame was under way
	if !l.Update([]Account{a, keyed(2)}, nil, at(5)) || len(l.Ended) != 1 || l.Ended[0].Octets != 201 {
		t.Errorf("%+v", l)
	}
}

// What nobody saw end is cut when it was counted last.
func TestCut(t *testing.T) {
	var l Ledger
	l.Update([]Account{keyed(1)}, nil, at(7))
	l = restart(t, l)
	if !l.Update([]Account{keyed(2)}, nil, at(60)) {
		t.Error("no end")
	}
	if len(l.Ended) != 1 || !l.Ended[0].Cut || !l.Ended[0].To.Equal(at(7)) {
		t.Errorf("%+v", l.Ended)
	}
}

// The process died between writing the one file and the other.
func TestTornBetween(t *testing.T) {
	var l Ledger
	l.Update([]Account{keyed(1)}, nil, at(1))
	current, err := l.EncodeCurrent()
	if err != nil {
		t.Fatal(err)
	}
	l.Update([]Account{ended(keyed(1), 2)}, nil, at(2))
	end, err := l.EncodeEnded()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(current, end)
	if err != nil || len(got.Current) != 0 || len(got.Ended) != 1 || got.Ended[0].Cut {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	l := Ledger{Ended: []Account{ended(keyed(1), 2)}}
	good, err := l.EncodeEnded()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", `{"version":2}`, "[]"} {
		if got, err := Decode([]byte(bad), good); err == nil || len(got.Ended) != 1 {
			t.Errorf("%q for current: %+v, %v", bad, got, err)
		}
		if _, err := Decode(nil, []byte(bad)); err == nil || !strings.Contains(err.Error(), "ended") {
			t.Errorf("%q for ended: %v", bad, err)
		}
	}
}

// Whatever keys do: the current are those that are counted, ended are there each once, at most Keep, and a restart changes nothing.
func TestLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Ledger
		there, over := map[int]Account{}, map[string]bool{}
		for minute := range rapid.IntRange(1, 40).Draw(t, "minutes") {
			n := rapid.IntRange(0, 5).Draw(t, "keys")
			var seen []Account
			for i := range n {
				k := minute*10 + i
				there[k] = keyed(k)
			}
			for k, a := range there {
				a.Octets += uint64(k)
				there[k] = a
				switch rapid.SampledFrom([]string{"stays", "stays", "ends", "is cut"}).Draw(t, "key") {
				case "stays":
					seen = append(seen, a)
					continue
				case "ends":
					seen = append(seen, ended(a, minute))
					over[a.Key] = true
				case "is cut":
					if slices.ContainsFunc(l.Current, func(b Account) bool { return a.Key == b.Key }) {
						over[a.Key] = true
					}
				}
				delete(there, k)
			}
			earlier := slices.Clone(l.Ended)
			l.Update(seen, nil, at(minute))
			if rapid.Bool().Draw(t, "restart") {
				before := l
				l = restart(t, l)
				if len(before.Current) == 0 {
					before.Current, l.Current = nil, nil
				}
				if d := cmp.Diff(before, l); d != "" {
					t.Fatalf("a restart (-before +after):\n%s", d)
				}
			}
			if len(l.Current) != len(there) {
				t.Fatalf("%d current, want %d", len(l.Current), len(there))
			}
			if len(l.Ended) != min(Keep, len(over)) {
				t.Fatalf("%d ended, want %d", len(l.Ended), len(over))
			}
			if !slices.EqualFunc(earlier, l.Ended[:len(earlier)], func(a, b Account) bool { return a.id() == b.id() }) {
				t.Fatalf("out of order: %+v after %+v", l.Ended, earlier)
			}
		}
		if all := l.Newest(2); len(all) > len(l.Current)+2 {
			t.Fatalf("%d accounts", len(all))
		}
	})
}

func TestBound(t *testing.T) {
	var l Ledger
	for i := range Keep + 10 {
		l.Update([]Account{ended(keyed(i), i+1)}, nil, at(i+1))
	}
	if len(l.Ended) != Keep || l.Ended[0].Key != keyed(10).Key || l.Newest(1)[0].Key != keyed(Keep+9).Key {
		t.Errorf("%d accounts from %s on", len(l.Ended), l.Ended[0].Key)
	}
}

func TestState(t *testing.T) {
	a := ended(keyed(1), 90)
	a.Octets, a.Packets = 700, 7
	const want = "from 2026-11-24T12:01:00Z to 2026-11-24T13:30:00Z, 700 octets (7 frames) left encrypted under key 0102030405060708090a0b0c/1 (an 1), and 0 in clear"
	if got := a.State("encrypted"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// The clock is set back: an account does not end before it began, and the newest
// stay.
func TestClockSetBack(t *testing.T) {
	var l Ledger
	l.Update([]Account{keyed(50)}, nil, at(7)) // it begins at 50
	l.Update(nil, nil, at(8))
	if a := l.Ended[0]; !a.Cut || a.To.Before(a.From) {
		t.Errorf("%+v", a)
	}
	for i := range Keep {
		l.Update([]Account{ended(keyed(i+100), i+101)}, nil, at(i+101))
	}
	back := ended(keyed(60), 61)
	l.Update([]Account{back}, nil, at(61))
	l = restart(t, l)
	if len(l.Ended) != Keep || l.Newest(1)[0].Key != back.Key || l.Ended[0].Key != keyed(101).Key {
		t.Errorf("%d accounts from %s to %s", len(l.Ended), l.Ended[0].Key, l.Newest(1)[0].Key)
	}
}

// What is found open is so from when it was last known not to be, over a restart and
// to its end; what begins later is not.
func TestOpen(t *testing.T) {
	var l Ledger
	a := keyed(1)
	l.Update([]Account{a}, nil, at(5))
	l.Open(at(4), "the filter was found missing", true)
	l = restart(t, l)
	l.Open(at(6), "there is no guard", false)
	before := ended(a, 7)
	later := a
	later.From = at(7)
	if !l.Update([]Account{before, later}, nil, at(8)) || l.Update([]Account{before, later}, nil, at(9)) {
		t.Error("it ends once")
	}
	l = restart(t, l)
	got := l.Ended[0]
	if !got.Cut || got.OpenSince == nil || !got.OpenSince.Equal(at(4)) || !got.Says(&before) {
		t.Errorf("%+v", got)
	}
	const want = "and 0 in clear; open since 2026-11-24T12:04:00Z: the filter was found missing"
	if s := got.State("encrypted"); !strings.HasSuffix(s, want) {
		t.Errorf("%s\nwant %s", s, want)
	}
	if n := l.Current[0]; n.Cut || n.OpenSince != nil || strings.Contains(n.State("encrypted"), "open") {
		t.Errorf("%+v", n)
	}
	l.Open(at(4), "there is no guard", false) // before it began
	if n := l.Current[0]; n.Cut || !n.OpenSince.Equal(at(7)) {
		t.Errorf("%+v", n)
	}
}
