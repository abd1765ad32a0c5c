package lab

import (
	"fmt"
	"strings"
)

// Block has the bridge drop what goes to or comes from a UDP port, by nft(8), and
// let pass what it dropped before; 0 is none.
func (l *Lab) Block(port uint16) error {
	if port == 0 {
		return l.drop()
	}
	return l.drop(fmt.Sprintf("udp dport %d", port), fmt.Sprintf("udp sport %d", port))
}

// BlockESP has it drop ESP, but of these SPIs, 8 hex digits each: what is agreed
// on from now on does not pass either.
func (l *Lab) BlockESP(but ...string) error {
	var spis []string
	for _, s := range but {
		spis = append(spis, "0x"+s)
	}
	return l.drop("meta protocol ip ip protocol esp esp spi != { " + strings.Join(spis, ", ") + " }")
}

// drop has the bridge drop what matches one of these, and nothing else.
func (l *Lab) drop(matches ...string) error {
	rules := "table bridge lab {}\ndelete table bridge lab\n"
	if len(matches) > 0 {
		rules += "table bridge lab {\n chain cut {\n type filter hook forward priority 0\n"
		for _, m := range matches {
			rules += " " + m + " drop\n"
		}
		rules += " }\n}\n"
	}
	return l.nft(rules)
}

// nft runs nft(8) at the bridge.
func (l *Lab) nft(rules string) error {
	cmd := l.bridge.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on the bridge: %w: %s", err, out)
	}
	return nil
}
