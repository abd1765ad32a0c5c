// Command make makes update files, and the key that signs them.
//
//	make -new-key DIR       writes DIR/update.key and DIR/update.pub
//	make -parts DIR -version V -arch A -key FILE -out FILE.update
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/linkseal/linkseal/images/bundle"
)

func main() {
	var s bundle.Source
	newKey := flag.String("new-key", "", "make a key pair in `DIR`, and no update")
	flag.StringVar(&s.Dir, "parts", "", "the `DIR` that has root.erofs, root.verity and linkseal.efi")
	flag.StringVar(&s.Version, "version", "", "the image's `VERSION`")
	flag.StringVar(&s.Arch, "arch", "amd64", "the image's `ARCH`itecture")
	key := flag.String("key", "", "the private key, a `FILE` of mode 0600")
	out := flag.String("out", "", "the update `FILE` to write")
	flag.Parse()
	err := func() error {
		switch {
		case flag.NArg() > 0:
			return fmt.Errorf("%q is no flag; -help lists them", flag.Arg(0))
		case *newKey != "":
			return makeKey(*newKey)
		case s.Dir == "" || s.Version == "" || *key == "" || *out == "":
			return errors.New("-parts, -version, -key and -out are needed, or -new-key; -help explains them")
		}
		var err error
		if s.Signer, err = bundle.ReadSigner(*key); err != nil {
			return err
		}
		return write(*out, s)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

// makeKey does not write over a key: images that are out there know it.
func makeKey(dir string) error {
	private, public, err := bundle.NewSigner()
	if err != nil {
		return err
	}
	defer clear(private)
	if err := create(filepath.Join(dir, "update.key"), private, 0o600); err != nil {
		return err
	}
	return create(filepath.Join(dir, "update.pub"), public, 0o644)
}

func create(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// write has the whole file under its name, or none.
func write(out string, s bundle.Source) error {
	temporary := out + ".new"
	f, err := os.Create(temporary)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = bundle.Write(w, s, filepath.Dir(out))
	if err = errors.Join(err, w.Flush(), f.Close()); err == nil {
		err = os.Rename(temporary, out)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}
