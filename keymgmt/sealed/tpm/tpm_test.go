package tpm

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/tests/swtpm"
)

const octets = "0123456789abcdef0123456789ABCDEF"

func key() *secret.Key { return secret.New([]byte(octets)) }

func seal(t *testing.T, tpm *TPM) []byte {
	t.Helper()
	blob, err := tpm.Seal(key())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(blob, []byte(octets)) {
		t.Fatal("the blob has the key in clear")
	}
	return blob
}

func unseals(t *testing.T, tpm *TPM, blob []byte) {
	t.Helper()
	k, err := tpm.Unseal(blob)
	if err != nil {
		t.Fatal(err)
	}
	if !k.Equal(key()) {
		t.Fatal("another key was unsealed")
	}
}

// refuses wants an *Error with the words, and tells it.
func refuses(t *testing.T, tpm *TPM, blob []byte, foreign bool, words ...string) {
	t.Helper()
	k, err := tpm.Unseal(blob)
	var e *Error
	if k != nil || !errors.As(err, &e) || e.Foreign != foreign {
		t.Fatalf("unsealed %v, %v; foreign wanted: %v", k, err, foreign)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in %v", w, err)
		}
	}
}

func TestSeal(t *testing.T) {
	e := swtpm.For(t)
	tpm := New(e.Path, nil)
	info, err := tpm.Probe()
	if err != nil || info.Manufacturer == "" || info.Firmware == "" {
		t.Fatalf("%+v, %v", info, err)
	}
	blob := seal(t, tpm)
	// More often than it has places for objects and sessions: all are freed.
	for range 5 {
		unseals(t, tpm, blob)
	}
	if err := e.Reset(); err != nil {
		t.Fatal(err)
	}
	unseals(t, tpm, blob)

	refuses(t, New(swtpm.For(t).Path, nil), blob, true, "another TPM")
	for i := 0; i < len(blob); i += 3 {
		bad := bytes.Clone(blob)
		bad[i] ^= 1
		if k, err := tpm.Unseal(bad); err == nil {
			t.Errorf("a blob changed at octet %d gave %v", i, k)
		}
	}
	if err := e.Clear(); err != nil {
		t.Fatal(err)
	}
	refuses(t, tpm, blob, true, "before this one was cleared")
}

func TestPCRs(t *testing.T) {
	e := swtpm.For(t)
	tpm := New(e.Path, []int{16, 7, 7})
	blob := seal(t, tpm)
	unseals(t, tpm, blob)
	extend := func(pcr byte) {
		t.Helper()
		if err := e.Extend(pcr); err != nil {
			t.Fatal(err)
		}
	}
	extend(8)
	unseals(t, tpm, blob)
	extend(7)
	refuses(t, tpm, blob, false, "PCRs [7]", "sealed anew")
	later := seal(t, tpm)
	unseals(t, tpm, later)
	if err := e.Reset(); err != nil {
		t.Fatal(err)
	}
	unseals(t, tpm, blob)
	refuses(t, tpm, later, false, "PCRs [7]")
	// What the configuration says now does not matter to what is sealed.
	unseals(t, New(e.Path, nil), blob)

	if _, err := New(e.Path, []int{24}).Probe(); err == nil || !strings.Contains(err.Error(), "PCR 24; accepted: 0 to 23") {
		t.Errorf("PCR 24: %v", err)
	}
}

func TestCounter(t *testing.T) {
	e := swtpm.For(t)
	tpm := New(e.Path, nil)
	c, err := tpm.CounterFor("/var/lib/linkseal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Value(); !errors.Is(err, ErrNoCounter) {
		t.Fatalf("before it is there: %v", err)
	}
	first, err := c.Define()
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Define()
	if err != nil || again != first {
		t.Fatalf("made again: %d, %v, want %d", again, err, first)
	}
	if err := c.Advance(first + 1); err != nil {
		t.Fatal(err)
	}
	if err := e.Reset(); err != nil {
		t.Fatal(err)
	}
	if n, err := tpm.Counter(c.Index()).Value(); err != nil || n != first+1 {
		t.Fatalf("%d, %v, want %d", n, err, first+1)
	}
	for _, to := range []uint64{first, first + 1 + maxSteps + 1} {
		if err := c.Advance(to); err == nil {
			t.Errorf("advanced from %d to %d", first+1, to)
		}
	}
	other, err := tpm.CounterFor("/another")
	if err != nil || other.Index() == c.Index() {
		t.Fatalf("%#x for another name, %v", other.Index(), err)
	}
	undefine(t, tpm, c)
	if _, err := c.Value(); !errors.Is(err, ErrNoCounter) {
		t.Fatalf("removed: %v", err)
	}
	if n, err := c.Define(); err != nil || n <= first+1 {
		t.Fatalf("removed and made again it is at %d, %v, not past %d", n, err, first+1)
	}
}

func undefine(t *testing.T, tpm *TPM, c *Counter) {
	t.Helper()
	err := tpm.with("remove", func(tp transport.TPM) error {
		name, err := c.public(tp)
		if err != nil {
			return err
		}
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: tpm2.TPMRHOwner,
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(c.index), Name: *name},
		}.Execute(tp)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoTPM(t *testing.T) {
	tpm := New(t.TempDir()+"/none", nil)
	_, err := tpm.Probe()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "there is no TPM; enable it in the firmware") {
		t.Errorf("%v", err)
	}
}
