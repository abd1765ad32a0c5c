package ipsec

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// again is linkseal after it was stopped: charon, and what is established, is as
// it was.
func (w *wire) again(c *Charon, s *Session, octets string) (*Charon, *Session) {
	w.t.Helper()
	s.Close()
	c.Close()
	c, err := NewCharon(c.o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c, w.open(c, w.tunnel(), psks([2]string{"k1", octets}))
}

// secretID is what charon calls a PSK of hub1.
func (w *wire) secretID(c *Charon, id, octets string) string {
	return secretID("hub1", id+"#"+tag(c.tagging(), secret.New([]byte(octets))))
}

// A PSK whose octets were replaced under its id while no linkseal ran is not that
// under which the tunnel is: the tunnel is authenticated anew, with nothing lost,
// and the old one goes. A peer that has not the new one is named.
func TestReplacedMeanwhile(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	s := w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	before := w.secured(s)
	flows := w.both(5*time.Millisecond, before.Members[0].Interface, w.far)
	c, s = w.again(c, s, "two")
	waitFor(t, 30*time.Second, "that the peer has it not is told", func() bool { return strings.Contains(s.View().Problem, "has not accepted PSK k1 yet") })
	if v := s.View(); v.State != overlay.Secured || v.Members[0].KeyID != "" {
		t.Errorf("%s under %q, and the PSK k1 is another", v.State, v.Members[0].KeyID)
	}
	p.load(setup{secrets: []string{"one", "two"}})
	c, s = w.again(c, s, "two") // and is found as it is by the next
	waitFor(t, 30*time.Second, "it is under the new one", func() bool { return s.View().Members[0].KeyID == "k1" })
	waitFor(t, 10*time.Second, "the old one is not loaded", func() bool {
		have, err := c.process().Secrets()
		return err == nil && slices.Equal(have, []string{w.secretID(c, "k1", "two")})
	})
	lostNone(t, flows)
	if a, b := before.Members[0], s.View().Members[0]; slices.Equal(a.SPIIn, b.SPIIn) {
		t.Errorf("the SPIs are %08x yet", b.SPIIn)
	}
}

// A tag is that of the octets, for as long as charon's directory has its key, and
// of none that is cut or another's.
func TestTag(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, tagFile)
	of := func(octets string) string {
		t.Helper()
		key, err := tagKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		return tag(key, secret.New([]byte(octets)))
	}
	one := of("one")
	if i, err := os.Stat(path); err != nil || i.Mode() != 0o600 || i.Size() != tagKeyLen {
		t.Errorf("%v %v", i, err)
	}
	if of("one") != one || of("two") == one || len(one) != 2*tagLen {
		t.Errorf("%s, %s, and %s of another", one, of("one"), of("two"))
	}
	for what, change := range map[string]func() error{
		"none":   func() error { return os.Remove(path) },
		"cut":    func() error { return os.Truncate(path, tagKeyLen-1) },
		"longer": func() error { return os.Truncate(path, tagKeyLen+1) },
		"a link": func() error { return all(os.Rename(path, path+".2"), os.Symlink(path+".2", path)) },
	} {
		before := of("one")
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if of("one") == before {
			t.Errorf("%s: the tag is as before", what)
		}
		if after := of("one"); of("one") != after {
			t.Errorf("%s: the tag is another each time", what)
		}
	}
}

// Versions of a certificate have no tag: an id is itself, whatever is in it.
func TestLabel(t *testing.T) {
	key, err := tagKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{c: &Charon{tags: key}, t: config.Tunnel{IPsec: &config.IPsec{Auth: config.AuthPSK}}, psks: psks([2]string{"a#b", "one"}).All}
	label := s.label(s.psks[0].PSK)
	for _, c := range []struct {
		label, plain, told string
		replaced           bool
	}{
		{label, "a#b", "a#b", false},
		{"a#b#0011223344556677", "a#b", "a#b, as it was before it was replaced", true},
		{"gone#0011223344556677", "gone", "gone", false},
		{"", "", "", false},
	} {
		if s.plain(c.label) != c.plain || s.told(c.label) != c.told || s.replaced(c.label) != c.replaced || (s.labelled(c.label) != nil) != (c.label == label) {
			t.Errorf("%q: %q, %q, %v", c.label, s.plain(c.label), s.told(c.label), s.replaced(c.label))
		}
	}
	s.t.IPsec.Auth = config.AuthCertificate
	if l := s.label(s.psks[0].PSK); l != "a#b" || s.plain(l) != "a#b" || s.replaced(l) {
		t.Errorf("a version is %q, %q", l, s.plain(l))
	}
}
