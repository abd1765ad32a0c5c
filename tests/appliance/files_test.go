package appliance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/linkseal/linkseal/images/sbom"
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

// The SBOM names what an appliance is made of, and nothing that one does not need. The
// files in the image are not looked at here: what came without a package, or stayed
// when its package was dropped, is not found.
func TestContents(t *testing.T) {
	i := theImage(t)
	text, err := os.ReadFile(i.file("spdx.json"))
	check(t, err)
	var d sbom.Document
	check(t, json.Unmarshal(text, &d))
	var names []string
	for _, p := range d.Packages {
		names = append(names, p.Name)
	}
	for _, name := range []string{"linkseal", "strongswan-swanctl", "charon-systemd", "frr", "chrony", "nftables", "systemd"} {
		if !slices.Contains(names, name) {
			t.Errorf("the SBOM has no %s", name)
		}
	}
	for _, name := range names {
		if unneeded(name) {
			t.Errorf("the SBOM has %s, which an appliance does not need", name)
		}
	}
}

// What has a version in its name is Debian's way to have several: python3.11-minimal,
// gcc-12. libgcc-s1 needs gcc-12-base, which has a copyright file in it and no compiler.
var (
	unneededNames = regexp.MustCompile(`^(python3|perl|cloud-init|gcc|dropbear|telnetd)($|\.|-[0-9])`)
	gccBase       = regexp.MustCompile(`^gcc-[0-9]+-base$`)
)

func unneeded(name string) bool { return unneededNames.MatchString(name) && !gccBase.MatchString(name) }

func TestUnneeded(t *testing.T) {
	for name, want := range map[string]bool{
		"python3": true, "python3.11-minimal": true, "gcc": true, "gcc-12": true, "gcc-12-x86-64-linux-gnu": true,
		"gcc-12-base": false, "perl": true, "perl-base": false, "libgcc-s1": false, "linkseal": false,
	} {
		if unneeded(name) != want {
			t.Errorf("%s is unneeded: %v, want %v", name, !want, want)
		}
	}
}
