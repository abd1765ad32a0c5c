package units

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// daemon is where the code of `linkseal run` is.
var daemon = []string{"bpf", "dataplane", "keymgmt", "linux"}

// sources calls do with each of the daemon's files.
func sources(t *testing.T, do func(path string, f *ast.File)) {
	t.Helper()
	n := 0
	for _, dir := range daemon {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err == nil {
				n++
				do(strings.TrimPrefix(filepath.ToSlash(path), "../../"), f)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 100 {
		t.Fatalf("only %d files were found", n)
	}
}

// key is what the unit has for a key, all its lines in one.
func key(t *testing.T, unit, name string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			all = append(all, strings.Fields(value)...)
		}
	}
	return all
}

// notWritten are paths that the daemon's code names and does not write to as the unit
// runs it.
var notWritten = map[string]string{
	"/proc/sys/kernel/random/boot_id": "read",
	"/run/netns":                      "of named network namespaces: the lab's, and those of whoever runs it by hand",
}

// The daemon may write below few directories. What it has a path of its own for is in
// one of them: else something fails under the unit alone, as the filter's guard would.
func TestPaths(t *testing.T) {
	var may []string
	for name, below := range map[string]string{"RuntimeDirectory": "/run/", "StateDirectory": "/var/lib/"} {
		for _, dir := range key(t, "linkseal.service", name) {
			may = append(may, below+dir)
		}
	}
	may = append(may, key(t, "linkseal.service", "ReadWritePaths")...)
	if len(may) != 4 {
		t.Fatalf("it may write to %q", may)
	}
	var found []string
	sources(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(l.Value)
			if err != nil || strings.ContainsAny(s, " \n") || !slices.ContainsFunc([]string{"/run", "/var", "/etc", "/tmp", "/proc/sys"}, func(p string) bool { return s == p || strings.HasPrefix(s, p+"/") }) {
				return true
			}
			found = append(found, s)
			if !slices.ContainsFunc(may, func(dir string) bool { return strings.HasPrefix(s, dir+"/") || s == dir }) && notWritten[s] == "" {
				t.Errorf("%s names %s, and the unit lets it write below %q alone", path, s, may)
			}
			return true
		})
	})
	if !slices.Contains(found, "/run/linkseal/guard.lock") || !slices.Contains(found, "/run/linkseal/linkseal.sock") {
		t.Errorf("found %q: the guard's lock or the control socket is missed", found)
	}
}
