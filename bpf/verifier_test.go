package bpf

import (
	"bytes"
	"flag"
	"fmt"
	gomaps "maps" // load.go has a function of that name
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write what this kernel's verifier did into "+verifierFile)

const verifierFile = "testdata/verifier.txt"

// effort is the verifier's for a program.
type effort struct {
	verified     int // instructions that it went through
	instructions int // of the program as it runs
}

// efforts are those recorded, by kernel ("6.1") and program.
type efforts map[string]map[string]effort

func readEfforts(text []byte) (efforts, error) {
	all := efforts{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) != 4 {
			return nil, fmt.Errorf("%s: %q: four fields are wanted", verifierFile, line)
		}
		v, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", verifierFile, line, err)
		}
		n, err := strconv.Atoi(f[3])
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", verifierFile, line, err)
		}
		if all[f[0]] == nil {
			all[f[0]] = map[string]effort{}
		}
		all[f[0]][f[1]] = effort{v, n}
	}
	return all, nil
}

func (all efforts) text() []byte {
	var b bytes.Buffer
	b.WriteString("# kernel, program, instructions verified, instructions as it runs\n")
	for _, kernel := range slices.Sorted(gomaps.Keys(all)) {
		for _, name := range slices.Sorted(gomaps.Keys(all[kernel])) {
			e := all[kernel][name]
			fmt.Fprintf(&b, "%s %s %d %d\n", kernel, name, e.verified, e.instructions)
		}
	}
	return b.Bytes()
}

// kernel is the running one's version, of two numbers.
func kernel(t testing.TB) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	numbers := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	if len(numbers) < 3 {
		t.Fatalf("kernel release %q", u.Release)
	}
	return numbers[0] + "." + numbers[1]
}

// measureEfforts loads every program that a port can have.
func measureEfforts(t *testing.T) map[string]effort {
	t.Helper()
	all := map[string]effort{}
	for name, f := range map[string]Filter{"plain": plain, "everything": everything, "counting": counting, "underlay": overlay} {
		p := loaded(t, f)
		for _, prog := range []*ebpf.Program{p.in.Program, inTC(t, p).Program, p.out.Program} {
			info, err := prog.Info()
			if err != nil {
				t.Fatal(err)
			}
			verified, ok := info.VerifiedInstructions()
			octets, err := info.TranslatedSize()
			if !ok || err != nil {
				t.Fatalf("%s: verified instructions %d, %v; size %d, %v", info.Name, verified, ok, octets, err)
			}
			all[info.Name+"/"+name] = effort{int(verified), octets / 8}
		}
	}
	return all
}

// What the verifier goes through says how far a program is from the million that
// it may, and what a kernel makes of it; both change in small steps or somebody
// looks why. A kernel that is not in the file may take twice what the worst
// there does.
func TestVerifierEffort(t *testing.T) {
	text, err := os.ReadFile(verifierFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	recorded, err := readEfforts(text)
	if err != nil {
		t.Fatal(err)
	}
	k, got := kernel(t), measureEfforts(t)
	if *update {
		recorded[k] = got
		if err := os.WriteFile(verifierFile, recorded.text(), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("with -update, %s is\n%s", verifierFile, recorded.text()) // what a guest writes goes with it
		return
	}
	for name, e := range got {
		want, known := recorded[k][name]
		if !known {
			for _, other := range recorded {
				want.verified = max(want.verified, 2*other[name].verified)
				want.instructions = max(want.instructions, 2*other[name].instructions)
			}
		}
		for _, n := range [][2]int{{e.verified, want.verified}, {e.instructions, want.instructions}} {
			if 10*n[0] > 11*n[1] || known && 10*n[0] < 9*n[1] {
				t.Errorf("kernel %s, %s: %+v; %+v is recorded: look why, then go test ./bpf -run VerifierEffort -update", k, name, e, want)
			}
		}
	}
	if len(recorded[k]) > 0 && len(recorded[k]) != len(got) {
		t.Errorf("kernel %s: %d programs are recorded, there are %d", k, len(recorded[k]), len(got))
	}
}
