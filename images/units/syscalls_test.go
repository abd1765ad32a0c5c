package units

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// set is the calls that one of systemd's sets has, with those of sets in it.
func set(t *testing.T, name string) map[string]bool {
	t.Helper()
	calls := make(map[string]bool)
	for _, line := range strings.Split(analyze(t, "syscall-filter", "--no-pager", name), "\n") {
		switch line = strings.TrimSpace(line); {
		case line == name || line == "" || line[0] == '#':
		case line[0] == '@':
			maps.Copy(calls, set(t, line))
		default:
			calls[line] = true
		}
	}
	return calls
}

// allowed is what a unit's SystemCallFilter lets through.
func allowed(t *testing.T, unit string) map[string]bool {
	t.Helper()
	calls := make(map[string]bool)
	take := true
	for _, word := range key(t, unit, "SystemCallFilter") {
		// What is taken away comes on lines of its own, after what is allowed.
		word, less := strings.CutPrefix(word, "~")
		take = take && !less
		one := map[string]bool{word: true}
		if word[0] == '@' {
			one = set(t, word)
		}
		for call := range one {
			if take {
				calls[call] = true
			} else {
				delete(calls, call)
			}
		}
	}
	// The sets that these take away, whatever is allowed.
	for option, of := range map[string]string{"ProtectClock": "@clock", "ProtectKernelModules": "@module"} {
		if slices.Contains(key(t, unit, option), "yes") {
			for call := range set(t, of) {
				delete(calls, call)
			}
		}
	}
	return calls
}

// byAnother are calls that have another name than their functions.
var byAnother = map[string]string{"Setrlimit": "prlimit64"}

// noCalls are functions that call nothing, or what another argument says.
var noCalls = []string{"Getpagesize", "Syscall", "Syscall6"}

// call is the system call of a function of golang.org/x/sys/unix, which is called as it
// is, or begins with its name; "" if it has none.
func call(function string, known map[string]bool) string {
	if slices.Contains(noCalls, function) {
		return ""
	}
	if c := byAnother[function]; c != "" {
		return c
	}
	if c, ok := strings.CutPrefix(function, "SYS_"); ok {
		return strings.ToLower(c)
	}
	var words []string
	for i, r := range function {
		if i == 0 || unicode.IsUpper(r) {
			words = append(words, "")
		}
		words[len(words)-1] += string(unicode.ToLower(r))
	}
	for n := len(words); n > 0; n-- {
		for _, between := range []string{"_", ""} {
			if c := strings.Join(words[:n], between); known[c] {
				return c
			}
		}
	}
	return ""
}

// brokers are calls of the daemon's code that the broker makes for it.
var brokers = []string{"adjtimex", "fsconfig", "fsmount", "fsopen", "pidfd_getfd", "unshare"}

// others are calls of neither.
var others = map[string]string{
	"mount":   "named network namespaces, of the lab",
	"umount2": "named network namespaces, of the lab",
	"setns":   "into network namespaces that were made here: of the lab and of trials; the daemon is in its own",
}

// Each system call that the code makes is one that the unit of who makes it allows.
func TestSystemCalls(t *testing.T) {
	known, daemon, broker := set(t, "@known"), allowed(t, "linkseal.service"), allowed(t, "linkseal-broker.service")
	if !known["pidfd_getfd"] || !daemon["sendmsg"] || daemon["adjtimex"] {
		t.Fatal("systemd's sets are not understood")
	}
	found := make(map[string]string)
	sources(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "unix" {
					if c := call(s.Sel.Name, known); c != "" && found[c] == "" {
						found[c] = path
					}
				}
			}
			return true
		})
	})
	for _, c := range slices.Sorted(maps.Keys(found)) {
		switch {
		case slices.Contains(brokers, c):
			if !broker[c] {
				t.Errorf("%s calls %s for the daemon, and linkseal-broker.service does not allow it", found[c], c)
			}
		case others[c] == "" && !daemon[c]:
			t.Errorf("%s calls %s, and linkseal.service does not allow it", found[c], c)
		}
	}
	for _, c := range append(brokers, "bpf", "pidfd_open", "mlock", "prctl") {
		if found[c] == "" {
			t.Errorf("nobody calls %s, or it is not found", c)
		}
	}
}
