package units

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// used are the address families that the daemon opens sockets of.
var used = []string{"AF_UNIX", "AF_NETLINK", "AF_INET", "AF_INET6", "AF_XDP"}

// family is a line of the C library's list: a name, and a number or another name.
var family = regexp.MustCompile(`(?m)^#define\s+PF_(\w+)\s+(?:PF_(\w+)|(\d+))`)

// known are the address families of this system's C library, each by all its names.
func known(t *testing.T) [][]string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/usr/include/*/bits/socket.h", "/usr/include/bits/socket.h"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	switch {
	case len(found) > 0:
	case probetest.InGuest():
		t.Fatal("the guest lacks bits/socket.h of libc6-dev; run make deps on the host")
	default:
		t.Skip("needs bits/socket.h of libc6-dev; run make deps")
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	number := make(map[string]string)
	var order []string
	names := make(map[string][]string)
	for _, m := range family.FindAllStringSubmatch(string(text), -1) {
		name, n := m[1], m[3]
		if n == "" {
			n = number[m[2]]
		}
		number[name] = n
		if name == "UNSPEC" || name == "MAX" {
			continue // none, and how many there are
		}
		if names[n] == nil {
			order = append(order, n)
		}
		names[n] = append(names[n], "AF_"+name)
	}
	if len(order) < 45 {
		t.Fatalf("%s is not understood: %q", found[0], names)
	}
	all := make([][]string, 0, len(order))
	for _, n := range order {
		all = append(all, names[n])
	}
	return all
}

// Each family that there is the daemon uses, or its unit denies. What is denied has
// to be listed: systemd-analyze counts any list of what is allowed that has AF_XDP in
// it as one with all that is exotic.
func TestAddressFamilies(t *testing.T) {
	list := strings.Join(key(t, "linkseal.service", "RestrictAddressFamilies"), " ")
	list, is := strings.CutPrefix(list, "~")
	if !is || strings.Contains(list, "~") {
		t.Fatalf("RestrictAddressFamilies=%s is no one list of what is denied", list)
	}
	denied := strings.Fields(list)
	in := func(list, names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(list, n) })
	}
	for _, names := range known(t) {
		switch no, needed := in(denied, names), in(used, names); {
		case no && needed:
			t.Errorf("%s is used, and denied", names)
		case !no && !needed:
			t.Errorf("%s is not used, and not denied", names)
		}
	}
}
