package lab

import (
	"fmt"
	"strings"
)

// Block has the bridge drop what goes to or comes from a UDP port, by nft(8), and
// let pass what it dropped before; 0 is none.
func (l *Lab) Block(port uint16) error {
	rules := "table bridge lab {}\ndelete table bridge lab\n"
	if port != 0 {
		rules += fmt.Sprintf("table bridge lab {\n chain cut {\n type filter hook forward priority 0\n udp dport %d drop\n udp sport %d drop\n }\n}\n", port, port)
	}
	cmd := l.bridge.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on the bridge: %w: %s", err, out)
	}
	return nil
}
