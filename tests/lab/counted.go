package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// CountClear has nftables count, where each cable comes to the bridge, what of the
// protected networks arrives there in clear: another counter than UnderlayWire's,
// and none of linkseal's.
func (l *Lab) CountClear() error {
	var nets []string
	for _, p := range protected {
		nets = append(nets, p.String())
	}
	set := "{ " + strings.Join(nets, ", ") + " }"
	rules := "table bridge clear {\n chain arrives {\n type filter hook prerouting priority -300\n"
	for i := range l.Appliances {
		for _, end := range []string{"saddr", "daddr"} {
			rules += fmt.Sprintf("  iifname p%d ip %s %s counter comment \"p%d\"\n", i, end, set, i)
		}
	}
	return l.nft(rules + " }\n}\n")
}

// ClearCounted is what CountClear has counted at appliance i's cable. A packet
// counts for each of its ends that is protected.
func (l *Lab) ClearCounted(i int) (n uint64, err error) {
	out, err := l.bridge.Command("nft", "list", "table", "bridge", "clear").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("nft on the bridge: %w: %s", err, out)
	}
	rules := 0
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, fmt.Sprintf("comment \"p%d\"", i)) {
			continue
		}
		_, rest, _ := strings.Cut(line, "packets ")
		word, _, _ := strings.Cut(rest, " ")
		v, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("nft on the bridge: no counter in %q", line)
		}
		n, rules = n+v, rules+1
	}
	if rules != 2 {
		return 0, fmt.Errorf("nft on the bridge: %d rules of cable %d, in %s", rules, i, out)
	}
	return n, nil
}
