package units

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const rootfs = "../rootfs/usr/lib"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rootfs, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What speaks to a network needs the filter that drops: by one file, of one content.
func TestFilterFirst(t *testing.T) {
	want := read(t, "systemd/system/linkseal.service.d/10-filter.conf")
	if !strings.Contains(want, "\nRequires=nftables.service\nAfter=nftables.service\n") {
		t.Error(want)
	}
	for _, unit := range []string{"linkseal", "systemd-networkd", "ssh", "chrony", "frr"} {
		files, err := filepath.Glob(filepath.Join(rootfs, "systemd/system", unit+".service.d", "*.conf"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "nftables.service") {
				if found++; filepath.Base(path) != "10-filter.conf" || string(text) != want {
					t.Errorf("%s is not as the others:\n%s", path, text)
				}
			}
		}
		if found != 1 {
			t.Errorf("%s: %d files have the filter before it", unit, found)
		}
	}
}
