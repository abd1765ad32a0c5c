package sbom

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Deb is an installed package, of dpkg's account of them.
type Deb struct {
	Name, Version, Arch   string
	Source, SourceVersion string
	Homepage              string
}

// ReadStatus reads dpkg's status file: the packages that are installed, in its
// order. One of which nothing is known is an error: an SBOM has no holes.
func ReadStatus(r io.Reader) (debs []Deb, err error) {
	var d Deb
	var state string
	end := func() error {
		if d == (Deb{}) && state == "" {
			return nil
		}
		if d.Name == "" || d.Version == "" || d.Arch == "" {
			return fmt.Errorf("package %q: version %q, architecture %q; all three are needed", d.Name, d.Version, d.Arch)
		}
		if strings.HasSuffix(state, " installed") {
			if d.Source == "" {
				d.Source = d.Name
			}
			if d.SourceVersion == "" {
				d.SourceVersion = d.Version
			}
			debs = append(debs, d)
		}
		d, state = Deb{}, ""
		return nil
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if err := end(); err != nil {
				return nil, err
			}
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok || line[0] == ' ' {
			continue // of a field of several lines
		}
		switch key {
		case "Package":
			d.Name = value
		case "Version":
			d.Version = value
		case "Architecture":
			d.Arch = value
		case "Homepage":
			d.Homepage = value
		case "Status":
			state = value
		case "Source":
			// Its version is there if it is another than the package's.
			var version string
			d.Source, version, _ = strings.Cut(value, " ")
			d.SourceVersion = strings.Trim(version, "()")
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return debs, end()
}
