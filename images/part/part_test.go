package part_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/bundle/bundletest"
	"github.com/linkseal/linkseal/images/part"
)

func TestParts(t *testing.T) {
	image, want := bundletest.New("1.2", 4096), bundletest.Boot("1.2")
	root, err := part.RootUUID(bytes.NewReader(image[part.Root]))
	if err != nil || root != want.Root {
		t.Errorf("root %s, %v; want %s", root, err, want.Root)
	}
	verity, err := part.VerityUUID(bytes.NewReader(image[part.Verity]))
	if err != nil || verity != want.Verity {
		t.Errorf("hash tree %s, %v; want %s", verity, err, want.Verity)
	}
	boot, err := part.UKIBoot(bytes.NewReader(image[part.UKI]))
	if err != nil || boot != want {
		t.Errorf("UKI %+v, %v; want %+v", boot, err, want)
	}
}

func TestNone(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 1060), make([]byte, 4096)} {
		if _, err := part.RootUUID(bytes.NewReader(b)); !errors.Is(err, part.ErrNone) {
			t.Errorf("root in %d zeros: %v", len(b), err)
		}
		if _, err := part.VerityUUID(bytes.NewReader(b)); !errors.Is(err, part.ErrNone) {
			t.Errorf("hash tree in %d zeros: %v", len(b), err)
		}
		if _, err := part.UKIBoot(bytes.NewReader(b)); err == nil {
			t.Errorf("a UKI in %d zeros", len(b))
		}
	}
	long := bundletest.UKI(bundletest.CommandLine("1.2")+strings.Repeat(" x", 16<<10), nil)
	if _, err := part.UKIBoot(bytes.NewReader(long)); err == nil || !strings.Contains(err.Error(), "octets; accepted") {
		t.Error(err)
	}
	if _, err := part.ParseCommandLine("linkseal.root=x linkseal.verity=y"); err == nil {
		t.Error("a command line without the root hash was taken")
	}
}

func FuzzUKI(f *testing.F) {
	f.Add(bundletest.New("1.2", 4096)[part.UKI][:1536])
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if boot, err := part.UKIBoot(bytes.NewReader(b)); err == nil && (boot.Root == "" || boot.Verity == "" || boot.Hash == "") {
			t.Errorf("%+v", boot)
		}
	})
}
