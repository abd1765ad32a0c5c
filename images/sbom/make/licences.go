package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/linkseal/linkseal/images/sbom"
)

// modules tells, for each module of this one's build, what its licence is, out of
// the sources that it was built from.
func modules() (func(path, version string) string, error) {
	cmd := exec.Command("go", "list", "-m", "-json", "all")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m all: %w: %s", err, said.String())
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m struct{ Path, Version, Dir string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list -m all: %w", err)
		}
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
	return func(path, version string) string {
		dir := dirs[path+"@"+version]
		if dir == "" {
			return ""
		}
		for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING"} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				return sbom.Recognized(string(text))
			}
		}
		return ""
	}, nil
}
