package rotate

import (
	"context"
	"fmt"
	"io"

	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/rotate/course"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// FileStore is the Store that is a key file. The ID of a pair is its CKN in
// hex, so that the CKN is known before the pair is written. A file has no
// owner: who may write it may rotate.
type FileStore struct {
	Path string
	Rand io.Reader // crypto/rand's
}

// List implements Store.
func (f FileStore) List(context.Context) ([]course.Pair, error) {
	chain, err := file.Load(f.Path)
	if err != nil {
		return nil, refused(err)
	}
	defer chain.Zero()
	var all []course.Pair
	for i := range chain.Keys {
		all = append(all, pairOf(&chain.Keys[i]))
	}
	return all, nil
}

func pairOf(k *keychain.Key) course.Pair {
	return course.Pair{ID: k.CKN.String(), CKN: k.CKN, Window: k.Window, Fallback: k.Fallback, Whole: true}
}

// Write implements Store.
func (f FileStore) Write(_ context.Context, o course.Order) (course.Pair, error) {
	ckn, err := keychain.ParseCKN(o.ID)
	if err != nil {
		return course.Pair{}, refused(err)
	}
	if p, ok, err := f.find(ckn); ok || err != nil {
		return p, refused(err)
	}
	cak, err := secret.Random(f.Rand, o.Octets)
	if err != nil {
		return course.Pair{}, refused(err)
	}
	defer cak.Zero()
	if err := file.Append(f.Path, keychain.Key{CKN: ckn, CAK: cak, Window: o.Window()}); err != nil {
		return course.Pair{}, refused(err)
	}
	p, ok, err := f.find(ckn)
	if err == nil && !ok {
		err = fmt.Errorf("key file %s has not got CKN %s, which was just written to it; is it changed by somebody else?", f.Path, ckn)
	}
	return p, err
}

// find reads the file for one key.
func (f FileStore) find(ckn keychain.CKN) (p course.Pair, ok bool, err error) {
	chain, err := file.Load(f.Path)
	if err != nil {
		return p, false, err
	}
	defer chain.Zero()
	if k := chain.Find(ckn); k != nil {
		return pairOf(k), true, nil
	}
	return p, false, nil
}

// Retire implements Store.
func (f FileStore) Retire(_ context.Context, id string) error {
	ckn, err := keychain.ParseCKN(id)
	if err != nil {
		return refused(err)
	}
	return refused(file.Remove(f.Path, ckn))
}

// refused marks an error after which the file tells whether anything was
// changed: it is replaced as a whole or not at all.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w%w", quiet{}, err)
}

// quiet is course.ErrRefused without its text.
type quiet struct{}

func (quiet) Error() string        { return "" }
func (quiet) Is(target error) bool { return target == course.ErrRefused }
