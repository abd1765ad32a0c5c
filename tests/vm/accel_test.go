package vm

import "testing"

func TestVirtualises(t *testing.T) {
	for _, c := range []struct {
		name, cpuinfo string
		want          bool
	}{
		{"AMD", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu vme svm aes\n", true},
		{"Intel, second processor", "flags\t\t: fpu\n\nflags\t\t: fpu vmx\n", true},
		{"a guest without nesting", "flags\t\t: fpu hypervisor vmmcall\n", false},
		{"in another line", "bugs\t\t: svm vmx\nvmx flags\t: svm\n", false},
		{"none", "", false},
	} {
		if got := virtualises([]byte(c.cpuinfo)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
