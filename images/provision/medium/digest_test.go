package medium

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestDigest(t *testing.T) {
	stick := func(change func(fstest.MapFS)) fstest.MapFS {
		m := fstest.MapFS{"user-data": {Data: []byte("a")}, "keys/a.yaml": {Data: []byte("b")}, "keys/b.yaml": {}}
		change(m)
		return m
	}
	same := Digest(stick(func(fstest.MapFS) {}))
	if len(same) != 64 {
		t.Fatalf("%q", same)
	}
	if got := Digest(stick(func(m fstest.MapFS) { m["user-data"].ModTime = time.Unix(1, 0) })); got != same {
		t.Error("a time counts")
	}
	for name, change := range map[string]func(fstest.MapFS){
		"content":  func(m fstest.MapFS) { m["user-data"].Data = []byte("A") },
		"name":     func(m fstest.MapFS) { m["userdata"] = m["user-data"]; delete(m, "user-data") },
		"removed":  func(m fstest.MapFS) { delete(m, "keys/b.yaml") },
		"moved":    func(m fstest.MapFS) { m["keys/b.yaml"], m["keys/a.yaml"] = m["keys/a.yaml"], m["keys/b.yaml"] },
		"a device": func(m fstest.MapFS) { m["keys/b.yaml"].Mode = fs.ModeDevice },
	} {
		if got := Digest(stick(change)); got == same || got == "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, change := range map[string]func(fstest.MapFS){
		"octets": func(m fstest.MapFS) { m["x"] = &fstest.MapFile{Data: make([]byte, mostOctets)} },
		"depth":  func(m fstest.MapFS) { m[strings.Repeat("d/", mostDepth)+"x"] = &fstest.MapFile{} },
		"entries": func(m fstest.MapFS) {
			for i := range mostEntries {
				m[strings.Repeat("x", i%40+1)+"/"+strings.Repeat("y", i/40+1)] = &fstest.MapFile{}
			}
		},
	} {
		if got := Digest(stick(change)); got != "" {
			t.Errorf("too much of %s is read", name)
		}
	}
}
