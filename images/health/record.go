package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/linux/durable"
)

// Record is what was when an update was installed.
type Record struct {
	Version    string    `json:"version"` // of the update
	From       string    `json:"from"`    // that ran
	Slot       string    `json:"slot"`    // that it was written to
	Time       time.Time `json:"time"`
	Configured bool      `json:"configured"` // there was a configuration
	Ports      []string  `json:"ports"`      // that were secured
	Tunnels    []string  `json:"tunnels"`
	Enforced   []string  `json:"enforced,omitempty"` // "port NAME" and "tunnel NAME" that were closed in both directions, and guarded
	Active     []string  `json:"active,omitempty"`   // units that were, of those that are watched
	Failed     []string  `json:"failed,omitempty"`   // units that had
	// Lost: the version is on trial, and nothing of this is known.
	Lost bool `json:"-"`
}

// Result is what a check found.
type Result struct {
	Version string    `json:"version"`
	Boot    string    `json:"boot"` // the kernel's boot_id
	Time    time.Time `json:"time"`
	Reasons []string  `json:"reasons"` // why it is not healthy; none: it is
}

const (
	recordFile, resultsFile = "update.json", "health.json"
	// maxResults is how many are kept: more than any trial has boots.
	maxResults = 16
	maxState   = 1 << 20
)

// SaveRecord keeps the record of an install in the directory dir, and forgets what
// checks found of that version before. By the time they could not be told apart:
// the clock may be set between an install and a boot.
func SaveRecord(dir string, r Record) error {
	if all, err := Results(dir); err == nil && len(all) > 0 {
		all = slices.DeleteFunc(all, func(old Result) bool { return old.Version == r.Version })
		if err := save(dir, resultsFile, all); err != nil {
			return err
		}
	}
	return save(dir, recordFile, r)
}

// LoadRecord returns the last one; nil: nothing was ever installed.
func LoadRecord(dir string) (r *Record, err error) {
	err = load(dir, recordFile, &r)
	return r, err
}

// AddResult keeps what a check found, and forgets the oldest ones.
func AddResult(dir string, r Result) error {
	all, err := Results(dir)
	if err != nil {
		all = nil // what cannot be read is no reason to lose what is new
	}
	all = append(all, r)
	return save(dir, resultsFile, all[max(0, len(all)-maxResults):])
}

// Stamp is another whenever an install or a check has left something in the directory.
func Stamp(dir string) string {
	var all []string
	for _, name := range []string{recordFile, resultsFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			all = append(all, fmt.Sprint(name, info.ModTime().UnixNano(), info.Size()))
		}
	}
	return strings.Join(all, " ")
}

// Results are what checks found, the newest last.
func Results(dir string) (all []Result, err error) {
	err = load(dir, resultsFile, &all)
	return all, err
}

func save(dir, name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.Write(filepath.Join(dir, name), append(text, '\n'))
}

// load leaves v as it is if there is no such file.
func load(dir, name string, v any) error {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > maxState {
		err = fmt.Errorf("%d octets; it is not what was written", info.Size())
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; remove it, and it is written anew", path, err)
	}
	return nil
}
