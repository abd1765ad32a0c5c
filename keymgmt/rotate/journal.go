package rotate

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxJournal bounds a journal that is read.
const maxJournal = 1 << 20

// Dir is the Journal that has a file for each keychain in a directory.
type Dir string

func (d Dir) path(keychain string) string { return filepath.Join(string(d), keychain+".json") }

// Load implements Journal.
func (d Dir) Load(keychain string) ([]byte, error) {
	path := d.path(keychain)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("journal: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxJournal:
		return nil, fmt.Errorf("journal %s: not a file of up to %d octets; remove it", path, maxJournal)
	}
	return os.ReadFile(path)
}

// Save implements Journal.
func (d Dir) Save(keychain string, state []byte) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return save(d.path(keychain), state)
}

// save replaces path atomically, on the disk when it returns.
func save(path string, b []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, cause(err))
		}
	}()
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(t.Name())
		}
	}()
	_, err = t.Write(b)
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		return err
	}
	if err = os.Rename(t.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause is err without the name of a temporary file, another one each time: a
// cause that lasts is the same error, and told once.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// ownerName is the file in the state directory that tells this appliance from
// another of the same name.
const ownerName = "owner-id"

var ownerForm = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Owner is what marks the pairs of the appliance called name whose state
// directory is state: "NAME/ID". The ID is made at the first use.
func Owner(state, name string) (string, error) {
	path := filepath.Join(state, ownerName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := make([]byte, 8)
		rand.Read(id) // never fails
		b = []byte(hex.EncodeToString(id) + "\n")
		err = save(path, b)
	}
	if err != nil {
		return "", fmt.Errorf("id of this appliance as an owner of keys: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if !ownerForm.MatchString(id) {
		return "", fmt.Errorf("id of this appliance in %s is malformed; accepted: 16 hex digits", path)
	}
	return name + "/" + id, nil
}
