package firewall

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// rounds is how often what changes again and again is made anew.
const rounds = 10

// Settle has the filter made until what it is made of, files and directories of files,
// is as it was before: systemd does not tell of what changes while the unit runs.
func Settle(make func() error, inputs ...string) error {
	for n := 1; ; n++ {
		before := stamp(inputs)
		if err := make(); n == rounds || stamp(inputs) == before {
			return err
		}
	}
}

// stamp is another whenever one of the files is.
func stamp(inputs []string) string {
	var s strings.Builder
	one := func(path string) {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&s, "%s: %v\n", path, err)
			return
		}
		fmt.Fprintf(&s, "%s: %d %v", path, info.Size(), info.ModTime())
		if at, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(&s, " %d %v", at.Ino, at.Ctim)
		}
		s.WriteByte('\n')
	}
	for _, path := range inputs {
		one(path)
		entries, _ := os.ReadDir(path)
		for _, e := range entries {
			one(filepath.Join(path, e.Name()))
		}
	}
	return s.String()
}
