package slot_test

import (
	"cmp"
	"os/exec"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

var ordered = []string{"0.9", "1", "1.0", "1.0.5", "1.2", "1.10", "2", "20261125.235959", "20261126.000001", "20261126.93000", "20261126.170000", "100000000000000000.1"}

func TestCompare(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got := slot.Compare(a, b); cmp.Compare(got, 0) != cmp.Compare(i, j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"1.01", "1.1"}, {"01", "1"}, {"1.00", "1.0"}} {
		if slot.Compare(same[0], same[1]) != 0 {
			t.Errorf("%s and %s are not the same", same[0], same[1])
		}
	}
}

// systemd-boot's order is systemd's.
func TestCompareAsSystemd(t *testing.T) {
	probetest.NeedTool(t, "systemd-analyze")
	for i, a := range ordered {
		for _, b := range append(ordered[i:min(i+2, len(ordered))], "1.01", "01") {
			out, err := exec.Command("systemd-analyze", "compare-versions", a, b).Output()
			sign := strings.Fields(string(out))
			if len(sign) != 3 {
				t.Fatalf("%q, %v", out, err)
			}
			want := map[string]int{"<": -1, "==": 0, ">": 1}[sign[1]]
			if got := cmp.Compare(slot.Compare(a, b), 0); got != want {
				t.Errorf("%s and %s: %d, and systemd has %s", a, b, got, sign[1])
			}
		}
	}
}

func TestEntries(t *testing.T) {
	for name, want := range map[string]slot.Entry{
		"linkseal_1.2.efi":                 {Version: "1.2"},
		"linkseal_20261126.170000+3.efi":   {Version: "20261126.170000", Trial: true, Left: 3},
		"linkseal_20261126.170000+2-1.efi": {Version: "20261126.170000", Trial: true, Left: 2},
		"linkseal_20261126.170000+0-3.efi": {Version: "20261126.170000", Trial: true},
	} {
		want.Name = name
		if got, ok := slot.ParseEntry(name); !ok || got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "linkseal.efi", "linkseal_.efi", "linkseal_1..2.efi", "linkseal_1.2.EFI.old", "linkseal_1.2.new", "linkseal_1.2+.efi", "linkseal_1.2+3-.efi", "linkseal_1.2+3000.efi", "linkseal_1.2-1.efi", "other_1.2.efi", "../linkseal_1.2.efi"} {
		if got, ok := slot.ParseEntry(name); ok {
			t.Errorf("%q: %+v", name, got)
		}
	}
	if e, ok := slot.ParseEntry(slot.OnTrial("1.2")); !ok || !e.Trial || e.Left != slot.Tries || e.Version != "1.2" {
		t.Errorf("%+v, %v", e, ok)
	}
	for _, name := range []string{slot.Temporary("1.2"), slot.Retired("1.2")} {
		if _, ok := slot.ParseEntry(name); ok || strings.HasSuffix(strings.ToLower(name), ".efi") {
			t.Errorf("%s would be booted", name)
		}
	}
}

func FuzzEntry(f *testing.F) {
	f.Add("linkseal_20261126.170000+2-1.efi")
	f.Add("linkseal_1.efi")
	f.Fuzz(func(t *testing.T, name string) {
		e, ok := slot.ParseEntry(name)
		if ok && (e.Version == "" || strings.ContainsAny(e.Version, "/+- ") || slot.Compare(e.Version, e.Version) != 0 || !e.Trial && e.Left != 0) {
			t.Errorf("%q: %+v", name, e)
		}
	})
}
