package tunnels

import (
	"strconv"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
)

// counter is one that an appliance's kernel has in /proc/net/snmp, as "Ip" and
// "FragOKs": a line of names, and one of numbers.
func counter(t *testing.T, a *lab.Appliance, protocol, name string) uint64 {
	t.Helper()
	var names []string
	for line := range strings.Lines(command(t, a, "cat", "/proc/net/snmp")) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != protocol+":" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, n := range names {
			if n == name && i < len(words) {
				v, err := strconv.ParseUint(words[i], 10, 64)
				check(t, err)
				return v
			}
		}
	}
	t.Fatalf("there is no counter %s of %s", name, protocol)
	return 0
}
