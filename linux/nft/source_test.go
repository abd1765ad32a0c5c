package nft

import (
	"net/netip"
	"strings"
	"testing"
)

// nft reads a source as it is meant, and the table goes with the last.
func TestSource(t *testing.T) {
	ns, h := namespace(t)
	if err := h.RemoveSource("wg0"); err != nil {
		t.Error(err)
	}
	for name, s := range map[string]Source{"wg0": {netip.MustParseAddr("192.0.2.1"), 7, 7}, "wg1": {netip.MustParseAddr("2001:db8::4"), 51900, 51900}, "wg2": {netip.MustParseAddr("10.0.0.3"), 1, 2}} {
		if err := h.SetSource(name, s); err != nil {
			t.Fatal(err)
		}
	}
	// Again, as another.
	if err := h.SetSource("wg0", Source{netip.MustParseAddr("10.0.0.4"), 51820, 51823}); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveSource("wg2"); err != nil {
		t.Error(err)
	}
	text := nft(t, ns, "list", "table", "inet", sourceName)
	for _, want := range []string{"chain wg0", "type route hook output priority raw; policy accept;",
		"udp sport 51820-51823 ip saddr != 10.0.0.4 ip saddr set 10.0.0.4", "51900 ip6 saddr != 2001:db8::4 ip6 saddr set 2001:db8::4"} {
		if !strings.Contains(text, want) {
			t.Errorf("nft has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "192.0.2.1") || strings.Contains(text, "wg2") {
		t.Errorf("nft has what was replaced:\n%s", text)
	}
	if err := h.KeepSources([]string{"wg0", "none"}); err != nil {
		t.Error(err)
	}
	if text := nft(t, ns, "list", "table", "inet", sourceName); strings.Contains(text, "wg1") || !strings.Contains(text, "wg0") {
		t.Errorf("kept:\n%s", text)
	}
	for _, name := range []string{"wg0", "wg1", "wg0"} {
		if err := h.RemoveSource(name); err != nil {
			t.Error(err)
		}
	}
	if text := nft(t, ns, "list", "ruleset"); text != "" {
		t.Errorf("left: %s", text)
	}
	for _, s := range []Source{{}, {netip.MustParseAddr("::ffff:10.0.0.4"), 1, 2}, {netip.MustParseAddr("10.0.0.4"), 2, 1}} {
		if err := h.SetSource("wg0", s); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}
