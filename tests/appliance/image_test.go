package appliance

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/linkseal/linkseal/tests/appliance/gpt"
	"github.com/linkseal/linkseal/tests/appliance/qemu"
)

const (
	imageEnv = "LINKSEAL_IMAGE"
	keysEnv  = "LINKSEAL_IMAGE_KEYS"

	// diskSize is of the disks that the image is written to: larger than it is.
	diskSize = 3 << 30
)

// image is what make image built, and what all tests make of it once.
type image struct {
	dir, keys string
	version   string
	trial     string // logs and scratch
	raw       string // the disk
	vars      string // of a firmware with the keys enrolled
	signer    ssh.Signer
	public    string // its line of authorized_keys
}

// soaking: make soak runs in full what make test-image shortens.
func soaking() bool { return os.Getenv("LINKSEAL_SOAK") == "1" }

// theImage skips the test if there is none: to build one takes minutes and the
// package mirror, to boot it half an hour.
func theImage(t *testing.T) *image {
	t.Helper()
	if os.Getenv(imageEnv) == "" {
		t.Skip("it boots the appliance image: make test-image builds one and runs this")
	}
	i, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var (
	opened    = sync.OnceValues(open)
	imageName = regexp.MustCompile(`^linkseal-(.+)-amd64\.raw\.zst$`)
)

func open() (*image, error) {
	i := &image{dir: os.Getenv(imageEnv), keys: os.Getenv(keysEnv)}
	if i.keys == "" {
		return nil, fmt.Errorf("%s is not set: make test-image sets it to the directory with the keys of the image", keysEnv)
	}
	entries, err := os.ReadDir(i.dir)
	if err != nil {
		return nil, fmt.Errorf("the image: %w; run: make image", err)
	}
	for _, e := range entries {
		if m := imageName.FindStringSubmatch(e.Name()); m != nil {
			if i.version != "" {
				return nil, fmt.Errorf("%s has the images of %s and %s; remove one", i.dir, i.version, m[1])
			}
			i.version = m[1]
		}
	}
	if i.version == "" {
		return nil, fmt.Errorf("%s has no linkseal-VERSION-amd64.raw.zst; run: make image", i.dir)
	}
	i.trial = filepath.Join(i.dir, "trial")
	old, err := filepath.Glob(filepath.Join(i.trial, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		if filepath.Ext(path) != ".vars" {
			os.RemoveAll(path)
		}
	}
	if err := os.MkdirAll(i.trial, 0o700); err != nil {
		return nil, err
	}
	i.raw = filepath.Join(i.trial, "disk.raw")
	if err := program("zstd", "-q", "-d", "-f", "--sparse", i.file("raw.zst"), "-o", i.raw); err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if i.signer, err = ssh.NewSignerFromKey(key); err != nil {
		return nil, err
	}
	i.public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(i.signer.PublicKey())))
	return i, i.enroll()
}

// file is one of the build's, by what follows its version and architecture.
func (i *image) file(extension string) string {
	return filepath.Join(i.dir, "linkseal-"+i.version+"-amd64."+extension)
}

// enroll keeps the variables of a firmware that has this image's keys, for as long
// as the keys are these.
func (i *image) enroll() error {
	sum := sha256.New()
	for _, name := range []string{"PK.auth", "KEK.auth", "db.auth"} {
		text, err := os.ReadFile(filepath.Join(i.keys, name))
		if err != nil {
			return fmt.Errorf("the keys of the image: %w; set %s to the directory that make image used", err, keysEnv)
		}
		sum.Write(text)
	}
	i.vars = filepath.Join(i.trial, fmt.Sprintf("enrolled-%x.vars", sum.Sum(nil)[:8]))
	disk, err := qemu.Overlay(i.raw, "raw", filepath.Join(i.trial, "enroll.qcow2"), 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return qemu.Enroll(ctx, i.trial, disk, i.vars)
}

// partition is where the image has a partition.
func (i *image) partition(t *testing.T, name string) gpt.Partition {
	t.Helper()
	f, err := os.Open(i.raw)
	check(t, err)
	defer f.Close()
	p, err := gpt.Find(f, name)
	check(t, err)
	return p
}

// copied is a copy of the image's disk, to do something to.
func (i *image) copied(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(i.trial, name+".raw")
	check(t, program("cp", "--sparse=always", "--reflink=auto", i.raw, path))
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// program runs one; its error has what it said.
func program(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "MTOOLS_SKIP_CHECK=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
