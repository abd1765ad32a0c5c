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

	"github.com/linkseal/linkseal/linux/durable"
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
	return durable.Write(d.path(keychain), state)
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
		err = durable.Write(path, b)
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
