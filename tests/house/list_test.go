package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/linkseal/linkseal"

// pkg is what go list says of a package of this module.
type pkg struct {
	ImportPath, Dir, Name, Doc string
	Module                     *struct{ Path string }
	Imports, Deps              []string
	GoFiles, TestGoFiles       []string
	XTestGoFiles               []string
}

// short is the import path within the module; "" at the root.
func (p *pkg) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// list runs go list -deps once and returns the module's own packages.
var list = sync.OnceValues(func() ([]*pkg, error) {
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Name,Doc,Module,Imports,Deps,GoFiles,TestGoFiles,XTestGoFiles", module+"/...").Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = errors.New(string(exit.Stderr))
		}
		return nil, err
	}
	var own []*pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := new(pkg)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return own, nil
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && p.Module.Path == module {
			own = append(own, p)
		}
	}
})

func packages(t *testing.T) []*pkg {
	t.Helper()
	own, err := list()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if len(own) < 10 {
		t.Fatalf("go list found %d packages of %s; the rules would hold of nothing", len(own), module)
	}
	return own
}

// within reports whether path is one of the roots or below one.
func within(path string, roots ...string) bool {
	for _, r := range roots {
		if path == r || strings.HasPrefix(path, r+"/") {
			return true
		}
	}
	return false
}
