package vm

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// moduleDeps is modules.dep: module name to the paths to load for it, the
// module itself last.
type moduleDeps struct {
	dir   string
	paths map[string][]string
}

func readModuleDeps(dir string) (*moduleDeps, error) {
	f, err := os.Open(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := &moduleDeps{dir: dir, paths: map[string][]string{}}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		mod, deps, ok := strings.Cut(sc.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("%s/modules.dep: bad line %q", dir, sc.Text())
		}
		// depmod lists a module's needs in the order opposite to loading.
		list := strings.Fields(deps)
		slices.Reverse(list)
		d.paths[moduleName(mod)] = append(list, mod)
	}
	return d, sc.Err()
}

// moduleName is what the kernel calls the module in a file.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// order returns the files of the modules named and of all that they need, each
// once, in an order in which they load. A name that is not a module is taken
// to be built in: the guest says what is missing.
func (d *moduleDeps) order(names ...string) []string {
	var out []string
	for _, n := range names {
		for _, p := range d.paths[n] {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}
