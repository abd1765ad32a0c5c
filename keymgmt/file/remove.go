package file

import (
	"bytes"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// Remove takes the key named ckn out of the key file, whose other lines stay
// as they are, comments too. The file is replaced as by Append. A CKN that is
// not there is success. The last key of a file is not removed: nothing would
// be left to secure the link with.
func Remove(path string, ckn keychain.CKN) (err error) {
	erase.Do(func() { err = remove(path, ckn) })
	return err
}

func remove(path string, ckn keychain.CKN) error {
	return edit(path, func(old []byte, before *keychain.Keychain) ([]byte, error) {
		k := before.Find(ckn)
		switch {
		case k == nil:
			return nil, nil
		case len(before.Keys) == 1:
			return nil, fmt.Errorf("key file %s has no key but CKN %s; add another before this one is removed", path, ckn)
		}
		return without(old, k.Origin.Line), nil
	}, func(before, after *keychain.Keychain) error {
		if after == nil || !onlyRemoves(before, after, ckn) {
			return fmt.Errorf("key file %s: CKN %s cannot be removed in its style; write its keys one below the other, each after a dash, or remove it by hand", path, ckn)
		}
		return nil
	})
}

func onlyRemoves(before, after *keychain.Keychain, ckn keychain.CKN) bool {
	changes := keychain.Diff(before, after)
	return len(changes) == 1 && changes[0].New == nil && changes[0].Old.CKN == ckn
}

// without is text without the list element that line, counted from 1, is in.
// Comments and empty lines after the element stay: they may be of the next.
func without(text []byte, line int) []byte {
	dash := indent(text) + "-"
	var lines [][]byte
	for l := range bytes.Lines(text) {
		lines = append(lines, l)
	}
	first := min(line, len(lines)) - 1
	for first > 0 && !begins(lines[first], dash) {
		first--
	}
	end := first + 1 // after the last line of the element
	for i := end; i < len(lines); i++ {
		content := bytes.TrimSpace(lines[i])
		if len(content) == 0 || content[0] == '#' {
			continue
		}
		if depth := len(lines[i]) - len(bytes.TrimLeft(lines[i], " ")); depth <= len(dash)-1 {
			break
		}
		end = i + 1
	}
	out := make([]byte, 0, len(text))
	for i, l := range lines {
		if i < first || i >= end {
			out = append(out, l...)
		}
	}
	return out
}

// begins tells whether a line begins an element of the list with that dash.
func begins(line []byte, dash string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(dash))
	return ok && (len(bytes.TrimSpace(rest)) == 0 || rest[0] == ' ')
}
