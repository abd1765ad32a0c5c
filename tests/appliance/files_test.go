package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/tests/appliance/vhd"
)

// The VHD is one that Azure takes, and has the same disk as the raw image.
func TestVHD(t *testing.T) {
	i := theImage(t)
	f, err := os.Open(i.file("vhd"))
	check(t, err)
	defer f.Close()
	st, err := f.Stat()
	check(t, err)
	if err := vhd.Check(f, st.Size()); err != nil {
		t.Errorf("%s: %v", f.Name(), err)
	}
	fmt.Printf("figure: VHD: fixed, %d MiB, taken by Azure's rules\n", (st.Size()-vhd.FooterSize)>>20)
	check(t, program("qemu-img", "compare", "-q", "-f", "vpc", "-F", "raw", i.file("vhd"), i.raw),
		program("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", i.file("qcow2"), i.raw))
}

// maxImage is what the image may take to carry to a site.
const maxImage = 350e6

func TestSize(t *testing.T) {
	i := theImage(t)
	st, err := os.Stat(i.file("raw.zst"))
	check(t, err)
	fmt.Printf("figure: the image is %.0f MB as raw.zst\n", float64(st.Size())/1e6)
	if st.Size() > maxImage {
		t.Errorf("%s has %d octets, want %d at the most; what takes the space is in %s", i.file("raw.zst"), st.Size(), int(maxImage), i.file("sizes.txt"))
	}
	for _, name := range []string{"update", "spdx.json", "sizes.txt"} {
		if st, err := os.Stat(i.file(name)); err != nil || st.Size() == 0 {
			t.Errorf("make image left no %s: %v", filepath.Base(i.file(name)), err)
		}
	}
	check(t, program("sh", "-c", "cd "+i.dir+" && sha256sum --quiet -c SHA256SUMS"))
}

// What is in the SBOM is in the image, and what must not be in the image is not.
func TestContents(t *testing.T) {
	i := theImage(t)
	text, err := os.ReadFile(i.file("spdx.json"))
	check(t, err)
	for _, name := range []string{"linkseal", "strongswan-swanctl", "charon-systemd", "frr", "chrony", "nftables", "systemd"} {
		if !strings.Contains(string(text), `"`+name+`"`) {
			t.Errorf("the SBOM has no %s", name)
		}
	}
	for _, name := range []string{"python3", "perl", "cloud-init", "gcc", "dropbear", "telnetd"} {
		if strings.Contains(string(text), `"name": "`+name+`"`) {
			t.Errorf("the image has %s, which an appliance does not need", name)
		}
	}
}
