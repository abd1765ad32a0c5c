package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/durable"
)

// SeenName is the file in the state directory that has the first-seen times.
const SeenName = "first-seen.json"

// LoadSeen reads when the keys of each keychain, by its name, were first
// seen. A file that is not there is the empty answer. One that is unreadable
// or malformed is an error beside an empty answer: the caller reports it and
// goes on, for only the order of keys without not_before hangs on it.
func LoadSeen(path string) (map[string]keychain.Seen, error) {
	seen := map[string]keychain.Seen{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return seen, nil
	}
	if err != nil {
		return seen, fmt.Errorf("first-seen times: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() > 16*strict.MaxSize {
		err = errors.New("too long")
	}
	if err == nil {
		err = json.NewDecoder(f).Decode(&seen)
	}
	if err != nil {
		return map[string]keychain.Seen{}, fmt.Errorf("first-seen times %s: %w; remove the file, keys without not_before then count as new", path, err)
	}
	if seen == nil { // the document was null
		seen = map[string]keychain.Seen{}
	}
	for name, s := range seen {
		if s == nil {
			seen[name] = map[string]time.Time{}
		}
	}
	return seen, nil
}

// SaveSeen writes what LoadSeen reads, atomically.
func SaveSeen(path string, seen map[string]keychain.Seen) error {
	text, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return fmt.Errorf("first-seen times: %w", err)
	}
	if err := durable.Write(path, append(text, '\n')); err != nil {
		return fmt.Errorf("first-seen times: %w", err)
	}
	return nil
}
