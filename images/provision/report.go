package provision

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/linux/durable"
)

// ReportFile has the last outcome of each source since the machine started, for
// the console.
const ReportFile = "/run/linkseal-image/provision.json"

// maxSources bounds the report.
const maxSources = 8

// Report reads the outcomes, the oldest first.
func Report(path string) ([]Outcome, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Outcome
	return all, json.Unmarshal(text, &all)
}

// AddReport puts o in the place of what its source had before.
func AddReport(path string, o Outcome) error {
	all, err := Report(path)
	if err != nil {
		all = nil // it is our own: a broken one is made anew
	}
	all = append(slices.DeleteFunc(all, func(p Outcome) bool { return p.Source == o.Source }), o)
	all = all[max(0, len(all)-maxSources):]
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Write(path, text)
}

// Failure is why a machine is not provisioned that was to be: the reasons of the
// last that was refused or is not all installed, if nothing was applied, in this boot
// or (before) in an earlier one. Empty otherwise: to refuse another medium is no failure.
func Failure(all []Outcome, before bool) string {
	why := ""
	if before {
		return why
	}
	for _, o := range all {
		switch o.Result {
		case Applied, Same:
			return ""
		case Refused, Unfinished:
			why = o.Source + ": " + strings.Join(o.Reasons, "; ")
		}
	}
	return why
}
