package medium

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// What Digest reads at the most: of a medium with more there is none.
const (
	mostEntries = 2048
	mostOctets  = 16 << 20
	mostDepth   = 8
)

// Digest is the same for the same files on a medium, whatever the program makes of
// them: names and contents, no times. Empty if there is more than an appliance's
// medium has, or if something cannot be read.
func Digest(from fs.FS) string {
	d := digester{h: sha256.New(), entries: mostEntries, octets: mostOctets}
	if d.dir(from, ".", mostDepth) != nil {
		return ""
	}
	return hex.EncodeToString(d.h.Sum(nil))
}

type digester struct {
	h       hash.Hash
	entries int
	octets  int64
}

func (d *digester) dir(from fs.FS, name string, depth int) error {
	entries, err := list(from, name)
	if err != nil {
		return err
	}
	if d.entries -= len(entries); d.entries < 0 || depth == 0 {
		return fmt.Errorf("%s: the medium has too much", name)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		at := path.Join(name, e.Name())
		fmt.Fprintf(d.h, "%q %d\n", at, e.Type()) // a hash takes all
		switch {
		case e.IsDir():
			err = d.dir(from, at, depth-1)
		case e.Type().IsRegular():
			err = d.file(from, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *digester) file(from fs.FS, name string) error {
	if err := plain(from, name, 0); err != nil {
		return err
	}
	f, err := from.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	n, err := io.Copy(content, io.LimitReader(f, d.octets+1))
	fmt.Fprintf(d.h, "%x\n", content.Sum(nil))
	if d.octets -= n; err == nil && d.octets < 0 {
		err = fmt.Errorf("%s: the medium has too much", name)
	}
	return err
}
