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

// PSKFile is the Store that is a key file of PSKs. It has no owner, as a
// FileStore has none.
type PSKFile struct {
	Path string
	Rand io.Reader // crypto/rand's
}

// List implements Store.
func (f PSKFile) List(context.Context) ([]course.Pair, error) {
	chain, err := file.Load(f.Path)
	if err != nil {
		return nil, refused(err)
	}
	defer chain.Zero()
	var all []course.Pair
	for i := range chain.PSKs {
		all = append(all, pairOfPSK(&chain.PSKs[i]))
	}
	return all, nil
}

func pairOfPSK(p *keychain.PSK) course.Pair {
	return course.Pair{ID: p.ID, PSK: true, Window: p.Window, Fallback: p.Fallback, Whole: true}
}

// Write implements Store.
func (f PSKFile) Write(_ context.Context, o course.Order) (course.Pair, error) {
	if p, ok, err := f.find(o.ID); ok || err != nil {
		return p, refused(err)
	}
	random := secret.Random
	if o.Text {
		random = secret.RandomText
	}
	psk, err := random(f.Rand, o.Octets)
	if err != nil {
		return course.Pair{}, refused(err)
	}
	defer psk.Zero()
	if err := file.AppendPSK(f.Path, keychain.PSK{ID: o.ID, Secret: psk, Text: o.Text, Window: o.Window()}); err != nil {
		return course.Pair{}, refused(err)
	}
	p, ok, err := f.find(o.ID)
	if err == nil && !ok {
		err = fmt.Errorf("key file %s has not got PSK %s, which was just written to it; is it changed by somebody else?", f.Path, o.ID)
	}
	return p, err
}

// find reads the file for one PSK.
func (f PSKFile) find(id string) (p course.Pair, ok bool, err error) {
	chain, err := file.Load(f.Path)
	if err != nil {
		return p, false, err
	}
	defer chain.Zero()
	if k := chain.FindPSK(id); k != nil {
		return pairOfPSK(k), true, nil
	}
	return p, false, nil
}

// Retire implements Store.
func (f PSKFile) Retire(_ context.Context, id string) error {
	return refused(file.RemovePSK(f.Path, id))
}
