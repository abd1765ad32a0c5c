package reconcile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linkseal/linkseal/linux/durable"
)

// StateFile keeps one port's record in the state directory: what its KaY must
// know after a restart. It is not secret.
type StateFile struct{ path string }

// PortState is the record of the named port in directory state.
func PortState(state, port string) StateFile {
	return StateFile{filepath.Join(state, "ports", port+".json")}
}

// Load returns what was saved last; nil if nothing was.
func (f StateFile) Load() ([]byte, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Save replaces the record atomically, on the disk when it returns.
func (f StateFile) Save(b []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	return durable.Write(f.path, b)
}
