package firewall

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// What changes while the filter is made is in the filter at the end.
func TestSettle(t *testing.T) {
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(file, dir string){
		"written":       func(file, _ string) { write(file, "b") },
		"a file more":   func(_, dir string) { write(filepath.Join(dir, "more.nft"), "b") },
		"a file less":   func(_, dir string) { os.Remove(filepath.Join(dir, "one.nft")) },
		"another":       func(_, dir string) { write(filepath.Join(dir, "one.nft"), "b") },
		"gone":          func(file, _ string) { os.Remove(file) },
		"as it was, by": func(file, _ string) { os.Remove(file); write(file, "a") },
	} {
		t.Run(name, func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "linkseal.yaml"), t.TempDir()
			write(file, "a")
			write(filepath.Join(dir, "one.nft"), "a")
			n := 0
			err := Settle(func() error {
				if n++; n == 1 {
					change(file, dir)
				}
				return fmt.Errorf("round %d", n)
			}, file, dir, filepath.Join(dir, "none"))
			if n != 2 || err.Error() != "round 2" {
				t.Errorf("made %d times, %v", n, err)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	n := 0
	always := errors.New("always")
	if err := Settle(func() error { n++; write(file, fmt.Sprint(n)); return always }, file); n != rounds || !errors.Is(err, always) {
		t.Errorf("what never settles is made %d times, %v", n, err)
	}
}
