package rotate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
