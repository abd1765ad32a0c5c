package probe

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		r := table[f]
		if r.name == "" || r.remedy == "" || r.try == nil {
			t.Errorf("feature %d: name %q, remedy %q, try set %v; want all three", f, r.name, r.remedy, r.try != nil)
		}
		if seen[r.name] {
			t.Errorf("two features are called %q", r.name)
		}
		seen[r.name] = true
		if got, ok := ByID(f.ID()); !ok || got != f {
			t.Errorf("ByID(%q) = %v, %v; want %v", f.ID(), got, ok, f)
		}
	}
	if _, ok := ByID("nosuch"); ok {
		t.Error("ByID finds a feature that does not exist")
	}
	if got := Feature(-1).String(); got != "Feature(-1)" {
		t.Errorf("String of no feature = %q", got)
	}
}

// Whatever the machine, a result is one a person can use.
func TestCheckExplains(t *testing.T) {
	for _, f := range All() {
		res := f.Check()
		if res.Detail == "" {
			t.Errorf("%s: no detail", f)
		}
		if res.OK != (res.Remedy == "") {
			t.Errorf("%s: OK %v with remedy %q", f, res.OK, res.Remedy)
		}
	}
}

func TestCheckNamesTheKernel(t *testing.T) {
	const f = TCX
	saved := table[f]
	t.Cleanup(func() { table[f] = saved })
	table[f].since = Version{99, 1, 0}
	table[f].try = func() (string, error) { return "", unix.EPERM }
	res := f.Check()
	if res.OK || !strings.Contains(res.Detail, "since 99.1") || !strings.HasPrefix(res.Remedy, "run as root: ") {
		t.Errorf("got %+v; want a failure that names the version and root", res)
	}
	if f.Unexpected() {
		t.Error("a feature of a later kernel is not unexpected")
	}
}

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Version
		text string
	}{
		{"6.1.0-56-amd64", Version{6, 1, 0}, "6.1"},
		{"6.18.44-fc-v782", Version{6, 18, 44}, "6.18.44"},
		{"6.18-rc1", Version{6, 18, 0}, "6.18"},
		{"5.15.0+", Version{5, 15, 0}, "5.15"},
		{"2.6.32.71", Version{2, 6, 32}, "2.6.32"},
	} {
		got, err := parseVersion(c.in)
		if err != nil || got != c.want || got.String() != c.text {
			t.Errorf("parseVersion(%q) = %v (%s), %v; want %v (%s)", c.in, got, got, err, c.want, c.text)
		}
	}
	for _, in := range []string{"", "6", "x.1", "6.", "6.x", ".1"} {
		if got, err := parseVersion(in); err == nil {
			t.Errorf("parseVersion(%q) = %v; want an error", in, got)
		}
	}
}

func TestBefore(t *testing.T) {
	order := []Version{{2, 6, 29}, {4, 19, 0}, {5, 7, 0}, {5, 7, 1}, {6, 1, 0}, {6, 18, 0}}
	for i, a := range order {
		for j, b := range order {
			if a.Before(b) != (i < j) {
				t.Errorf("%s before %s = %v", a, b, a.Before(b))
			}
		}
	}
}

func TestClockSane(t *testing.T) {
	if _, err := clockSane(time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC)); err == nil {
		t.Error("a clock at 1970 passes")
	}
	if got, err := clockSane(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)); err != nil || got != "2027-02-01T00:00:00Z" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestClockSync(t *testing.T) {
	for _, c := range []struct {
		name   string
		state  int
		status int32
		ok     bool
	}{
		{"synchronised", unix.TIME_OK, unix.STA_PLL, true},
		{"unsynchronised", unix.TIME_OK, unix.STA_UNSYNC, false},
		{"error", unix.TIME_ERROR, 0, false},
	} {
		got, err := clockSync(c.state, c.status, 1500)
		if (err == nil) != c.ok || c.ok && got != "within 1.5ms" {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}
