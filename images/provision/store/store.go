// Package store installs a bundle so that a power cut at any moment leaves the
// old state or the new one, whole.
//
// A bundle is staged as a tree beside its record and synced. One rename makes
// it the commit: from then on it is the new state, and Finish, which runs before
// the daemon reads the files, copies them to their places, the configuration last,
// and removes the commit. Finish may be cut and run again as often as it likes.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/linux/durable"
)

// Base has what this package keeps.
const Base = "/var/lib/linkseal-image/provision"

// Record says what was provisioned.
type Record struct {
	Source string    `json:"source"` // for people
	At     time.Time `json:"at"`
	Digest string    `json:"digest"`
	// Medium is the digest of the medium as it was.
	Medium string `json:"medium,omitempty"`
	// Files are the paths, so that the next bundle can replace them all.
	Files []string `json:"files"`
}

// Config tells whether a configuration was among the files.
func (r *Record) Config() bool { return slices.Contains(r.Files, bundle.Config) }

// Store is where it all is. Root is put before every path; empty on the
// appliance.
type Store struct {
	Root string
	// Installed, if there is one, has what is installed and not read from its file take
	// effect: before the commit is gone, for which the daemon waits.
	Installed func() error
	// cut, in tests, stands for the power: an error from it ends the work where
	// it is.
	cut func(step string) error
}

func (s *Store) at(path ...string) string { return filepath.Join(s.Root, filepath.Join(path...)) }

func (s *Store) staged() string { return s.at(Base, "staged") }
func (s *Store) commit() string { return s.at(Base, "commit") }
func (s *Store) record() string { return s.at(Base, "provisioned.json") }

// step is a moment at which the power may go.
func (s *Store) step(what string) error {
	if s.cut == nil {
		return nil
	}
	return s.cut(what)
}

const tree = "tree"

// Stage writes b beside what is installed. The directory that it returns is
// what /etc/linkseal would be.
func (s *Store) Stage(b *bundle.Bundle, r Record) (string, error) {
	if err := s.Discard(); err != nil {
		return "", err
	}
	r.Files, r.Digest = nil, b.Digest()
	dirs := map[string]bool{s.staged(): true}
	if err := os.MkdirAll(s.at(Base, "staged", tree, bundle.Linkseal), 0o700); err != nil {
		return "", err
	}
	for _, f := range b.Files {
		r.Files = append(r.Files, f.Path)
		to := s.at(Base, "staged", tree, f.Path)
		if err := write(to, f.Mode, f.Data); err != nil {
			return "", err
		}
		for dir := filepath.Dir(to); dir != s.staged(); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
		if err := s.step("staged " + f.Path); err != nil {
			return "", err
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = write(filepath.Join(s.staged(), "record.json"), 0o600, text)
	}
	for dir := range dirs {
		err = errors.Join(err, sync(dir))
	}
	return s.at(Base, "staged", tree, bundle.Linkseal), err
}

// write makes a file that is not there yet, on the disk when it returns.
func write(path string, mode fs.FileMode, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Discard removes what was staged.
func (s *Store) Discard() error { return os.RemoveAll(s.staged()) }

// Commit makes what was staged the new state, and installs it.
func (s *Store) Commit() error {
	if err := s.step("before the commit"); err != nil {
		return err
	}
	if err := s.drop(); err != nil {
		return err
	}
	if err := os.Rename(s.staged(), s.commit()); err != nil {
		return err
	}
	if err := sync(s.at(Base)); err != nil {
		return unfinished(err)
	}
	if err := s.step("after the commit"); err != nil {
		return unfinished(err)
	}
	if done, err := s.Finish(); !done {
		return unfinished(err)
	}
	return nil
}

// ErrUnfinished is a commit that is not all installed: Finish is to be called again.
var ErrUnfinished = errors.New("it is not all installed")

func unfinished(err error) error { return fmt.Errorf("%w: %w", ErrUnfinished, err) }

// drop removes a commit, its record first: without that it is none.
func (s *Store) drop() error {
	switch err := os.Remove(filepath.Join(s.commit(), "record.json")); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := sync(s.commit()); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.commit())
}

// Pending is the record of a commit that is not all installed; the zero Record if there
// is none.
func (s *Store) Pending() (Record, error) {
	return ifThere(load(filepath.Join(s.commit(), "record.json")))
}

// Finish installs a commit that is there. done says that it is installed, whatever else
// went wrong; false without an error if there was none.
func (s *Store) Finish() (done bool, err error) {
	r, err := load(filepath.Join(s.commit(), "record.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, os.RemoveAll(s.commit()) // one that was half removed
	}
	if err != nil {
		return false, err
	}
	old, err := s.Record()
	if err != nil {
		return false, err
	}
	for _, path := range old.Files {
		if !slices.Contains(r.Files, path) {
			if err := os.Remove(s.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
	}
	files := slices.DeleteFunc(slices.Clone(r.Files), func(path string) bool { return path == bundle.Config })
	if r.Config() { // who waits for it finds the others
		files = append(files, bundle.Config)
	}
	for _, path := range files {
		if err := s.install(path); err != nil {
			return false, fmt.Errorf("install %s: %w", path, err)
		}
		if err := s.step("installed " + path); err != nil {
			return false, err
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return false, err
	}
	if err := durable.Write(s.record(), text); err != nil {
		return false, err
	}
	if err := s.step("recorded"); err != nil {
		return false, err
	}
	if s.Installed != nil {
		if err := s.Installed(); err != nil {
			return false, err
		}
	}
	unix.Sync() // modes and removals too, before the commit is gone
	if err := os.Remove(filepath.Join(s.commit(), "record.json")); err != nil {
		return false, err
	}
	if err := s.step("done"); err != nil {
		return true, err
	}
	return true, os.RemoveAll(s.commit())
}

func (s *Store) install(path string) error {
	from := filepath.Join(s.commit(), tree, path)
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	defer clear(data)
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	to := s.at(path)
	mode := fs.FileMode(0o700)
	if filepath.Dir(path) == bundle.Network { // networkd is not root
		mode = 0o755
	}
	if err := os.MkdirAll(filepath.Dir(to), mode); err != nil {
		return err
	}
	if err := durable.Write(to, data); err != nil {
		return err
	}
	mode = info.Mode().Perm()
	if filepath.Ext(path) == ".netdev" { // it may have keys of networkd's own
		if err := giveToNetworkd(to); err != nil {
			return err
		}
		mode &= 0o640
	}
	return os.Chmod(to, mode)
}

// giveToNetworkd gives the file to networkd's group. A machine that has no such group
// has no networkd, and root alone reads it.
func giveToNetworkd(path string) error {
	group, err := user.LookupGroup("systemd-network")
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return nil
	}
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, -1, gid)
}

// Record is what was provisioned last; the zero Record if nothing was.
func (s *Store) Record() (Record, error) { return ifThere(load(s.record())) }

func ifThere(r Record, err error) (Record, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	return r, err
}

// Provisioned tells whether the appliance has what it needs: by a medium, or by hand.
func (s *Store) Provisioned() (bool, error) {
	r, err := s.Record()
	if err != nil || r.Digest != "" {
		return r.Digest != "", err
	}
	return s.Has(bundle.Config)
}

func load(path string) (r Record, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	for _, f := range r.Files {
		if f != filepath.Clean(f) || !filepath.IsAbs(f) {
			return r, fmt.Errorf("%s names %q", path, f)
		}
	}
	return r, nil
}

// Has tells whether the file of that path is installed.
func (s *Store) Has(path string) (bool, error) {
	_, err := os.Lstat(s.at(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
