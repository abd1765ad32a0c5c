package file

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// Create writes a new key file with one key, mode 0600. A file that exists is
// never replaced: the error is then fs.ErrExist.
func Create(path string, k keychain.Key) (err error) {
	erase.Do(func() { err = create(path, entry(k, "  ")) })
	return err
}

// create writes a new key file with one element, which is zeroed.
func create(path string, element []byte) error {
	defer clear(element)
	return locked(path, func() error {
		if _, err := os.Lstat(path); err == nil {
			// A writer that died when it had made the file has left the key beside
			// it too.
			return errors.Join(&fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}, removeTemporary(path))
		}
		text := joined([]byte("keys:\n"), element)
		defer clear(text)
		return replace(path, text, nil)
	})
}

// Append adds a key at the end of the key file, whose other lines stay as
// they are, comments too. The file is replaced atomically and keeps its owner
// and its mode; a symbolic link stays and what it leads to is replaced. A
// CKN that is there already, and a file that Load refuses, are errors and
// nothing is written.
func Append(path string, k keychain.Key) (err error) {
	erase.Do(func() { err = extend(path, k) })
	return err
}

func extend(path string, k keychain.Key) error {
	return edit(path, func(old []byte, before *keychain.Keychain) ([]byte, error) {
		if before.Find(k.CKN) != nil {
			return nil, fmt.Errorf("key file %s has CKN %s already; use another CKN", path, k.CKN)
		}
		if len(before.PSKs) > 0 {
			return nil, fmt.Errorf("key file %s holds PSKs of a tunnel; a MACsec key needs a keychain of its own", path)
		}
		return joined(old, entry(k, indent(old))), nil
	}, func(before, after *keychain.Keychain) error {
		if after == nil || !onlyAdds(before, after, k) {
			return styled(path)
		}
		return nil
	})
}

// styled is the error of a file that cannot be extended as it is written.
func styled(path string) error {
	return fmt.Errorf("key file %s cannot be extended in its style; write its keys one below the other, each after a dash", path)
}

// edit replaces the key file by what change makes of its text; nil leaves it as
// it is. accept judges the keychains before and after; after is nil if the new
// text cannot be parsed.
func edit(path string, change func(old []byte, before *keychain.Keychain) ([]byte, error), accept func(before, after *keychain.Keychain) error) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return &AccessError{Path: path, What: "cannot be opened: " + cause(err), Accepted: "a key file that exists", Err: err}
	}
	return locked(target, func() error {
		old, err := Read(target)
		if err != nil {
			return err
		}
		defer clear(old)
		before, err := Parse(path, bytes.Clone(old))
		if err != nil {
			return err
		}
		defer before.Zero()
		text, err := change(old, before)
		if err != nil || text == nil {
			return err
		}
		defer clear(text)
		after, err := Parse(path, bytes.Clone(text))
		if err != nil {
			after = nil
		}
		defer after.Zero()
		if err := accept(before, after); err != nil {
			return err
		}
		return replace(target, text, old)
	})
}

func onlyAdds(before, after *keychain.Keychain, k keychain.Key) bool {
	changes := keychain.Diff(before, after)
	return len(changes) == 1 && changes[0].Old == nil && changes[0].New.CKN == k.CKN && changes[0].New.CAK.Equal(k.CAK)
}

// entry is a key as an element of a block list.
func entry(k keychain.Key, indent string) []byte {
	cak := make([]byte, hex.EncodedLen(k.CAK.Len()))
	hex.Encode(cak, k.CAK.Bytes())
	defer clear(cak)
	// Sized so that no growth leaves a copy of the key behind.
	out := bytes.NewBuffer(make([]byte, 0, 512+len(cak)+8*len(indent)))
	fmt.Fprintf(out, "%s- ckn: \"%s\"\n%s  cak: \"", indent, k.CKN, indent)
	out.Write(cak)
	out.WriteString("\"\n")
	when(out, indent, k.Window, k.ExpiresHard, k.Fallback)
	return out.Bytes()
}

// when writes the lines of an element that say when the key is used.
func when(out *bytes.Buffer, indent string, w keychain.Window, hard, fallback bool) {
	line := func(name, value string) { fmt.Fprintf(out, "%s  %s: %s\n", indent, name, value) }
	if !w.NotBefore.IsZero() {
		line("not_before", w.NotBefore.UTC().Format(time.RFC3339))
	}
	if !w.Expires.IsZero() {
		line("expires", w.Expires.UTC().Format(time.RFC3339))
	}
	if hard {
		line("expires_hard", "true")
	}
	if fallback {
		line("fallback", "true")
	}
}

// indent is the white space before the first dash of text.
func indent(text []byte) string {
	for line := range bytes.Lines(text) {
		rest := bytes.TrimLeft(line, " ")
		if bytes.HasPrefix(rest, []byte("- ")) || bytes.Equal(bytes.TrimSpace(rest), []byte("-")) {
			return strings.Repeat(" ", len(line)-len(rest))
		}
	}
	return "  "
}

// joined is old and more in one allocation; more is zeroed.
func joined(old, more []byte) []byte {
	text := make([]byte, 0, len(old)+1+len(more))
	text = append(text, old...)
	if len(old) > 0 && old[len(old)-1] != '\n' {
		text = append(text, '\n')
	}
	text = append(text, more...)
	clear(more)
	return text
}

// locked runs f while no other linkseal writes in path's directory.
func locked(path string, f func() error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return &AccessError{Path: path, What: "has no directory: " + cause(err), Accepted: "a path in a directory that exists (mkdir -m 0700 -p " + filepath.Dir(path) + ")", Err: err}
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	return f()
}

// replace writes text to path atomically and durably. With old it replaces
// the file that has that content, keeping its owner and mode; it fails if an
// editor has written in between. The caller has the lock.
func replace(path string, text, old []byte) (err error) {
	if err := removeTemporary(path); err != nil {
		return err
	}
	tmp, err := os.OpenFile(temporary(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
			err = fmt.Errorf("write key file %s: %w", path, err)
		}
	}()
	if old != nil {
		if err = like(tmp, path); err != nil {
			return err
		}
	}
	if _, err = tmp.Write(text); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if old != nil {
		now, err := Read(path)
		if err != nil {
			return err
		}
		same := bytes.Equal(now, old)
		clear(now)
		if !same {
			return errors.New("it was changed meanwhile; run the command again")
		}
		if err := os.Rename(tmp.Name(), path); err != nil {
			return err
		}
	} else {
		// Unlike a rename, a link never replaces what is there.
		if err = os.Link(tmp.Name(), path); err != nil {
			return err
		}
		os.Remove(tmp.Name())
	}
	return syncDir(filepath.Dir(path))
}

// temporary is where what is to be at path is written.
func temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".linkseal")
}

// removeTemporary takes away what a writer that died has left. The caller has the
// lock.
func removeTemporary(path string) error {
	if err := os.Remove(temporary(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	return nil
}

// like gives tmp the owner and the mode of path.
func like(tmp *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid() {
		if err := tmp.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return tmp.Chmod(fs.FileMode(st.Mode & 0o600))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
