package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPackages(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s: no package comment", p.ImportPath)
		}
		for _, bad := range []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared"} {
			if p.Name == bad || filepath.Base(p.ImportPath) == bad {
				t.Errorf("%s: a package is named for what it holds", p.ImportPath)
			}
		}
	}
}

// clockless are packages that are told the time.
var clockless = []string{"keymgmt/mka", "keymgmt/keychain", "keymgmt/secret", "keymgmt/sa", "keymgmt/rotate/course", "dataplane/plan", "dataplane/account", "dataplane/softsecy", "dataplane/overlay/wireguard/rollover", "dataplane/overlay/ipsec/suite", "dataplane/overlay/ipsec/conn", "dataplane/overlay/ipsec/diagnose", "dataplane/overlay/ipsec/rotation"}

// readsClock are the functions of package time that ask or wait.
var readsClock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func TestNoClock(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		if !within(p.short(), clockless...) {
			continue
		}
		for _, f := range p.GoFiles {
			path := filepath.Join(p.Dir, f)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checked++
			for _, call := range clockCalls(t, path, text) {
				t.Errorf("%s: %s; this package is told the time", path, call)
			}
		}
	}
	if checked == 0 {
		t.Error("no file was checked")
	}
	const bad = "package p\nimport clock \"time\"\nvar t = clock.Now()\nvar d clock.Duration\n"
	if got := clockCalls(t, "bad.go", []byte(bad)); !slices.Equal(got, []string{"time.Now"}) {
		t.Errorf("in a file that calls time.Now: %q", got)
	}
}

func clockCalls(t *testing.T, path string, text []byte) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, imp := range f.Imports {
		if imp.Path.Value == `"time"` {
			name = "time"
			if imp.Name != nil {
				name = imp.Name.Name
			}
		}
	}
	var calls []string
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && name != "" && x.Name == name && slices.Contains(readsClock, s.Sel.Name) {
				calls = append(calls, "time."+s.Sel.Name)
			}
		}
		return true
	})
	return calls
}

// maxLines is the most that one reads in a sitting.
const maxLines = 500

// longer are files that may be longer, each with its reason.
var longer = map[string]string{}

func TestFileLength(t *testing.T) {
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.[ch]"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			files = append(files, filepath.Join(p.Dir, f))
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("DO NOT EDIT.\n")) {
				continue
			}
			name := filepath.Join(p.short(), filepath.Base(path))
			if n := bytes.Count(text, []byte("\n")); n > maxLines && longer[name] == "" {
				t.Errorf("%s: %d lines, over %d; split it by what it is about", name, n, maxLines)
			} else if n <= maxLines && longer[name] != "" {
				t.Errorf("%s: %d lines; it needs no exception any more", name, n)
			}
		}
	}
	for name, why := range longer {
		if strings.TrimSpace(why) == "" {
			t.Errorf("%s may be longer, but for no reason", name)
		}
	}
}
