package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoomForAll(t *testing.T) {
	s, err := everything.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.filter(); !cmp.Equal(got, everything) {
		t.Errorf("read back: %s", cmp.Diff(everything, got))
	}
}

func TestSettings(t *testing.T) {
	a, err := Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Allow: []Protocol{LACP, LLDP, LACP}}.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Allow: []Protocol{LLDP, LACP}}.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Error("order and repetition of Allow change the settings")
	}
	if got, want := a.filter().Allow, []Protocol{LACP, LLDP}; !slices.Equal(got, want) {
		t.Errorf("allows %v, want %v", got, want)
	}
	for name, f := range map[string]Filter{
		"is a length":  {EtherType: 0x05ff},
		"IPv4":         {EtherType: 0x0800},
		"MACsec":       {EtherType: 0x88e5},
		"802.1Q":       {EtherType: 0x8100},
		"that of lldp": {EtherType: 0x88cc, Allow: []Protocol{LLDP}},
		"cdp":          {EtherType: 0x888e, Allow: []Protocol{"cdp"}},
	} {
		if _, err := f.settings(portAddress); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v; want an error about %s", f, err, name)
		}
	}
	if _, err := ParseProtocol("cdp"); err == nil || !strings.Contains(err.Error(), "lldp") {
		t.Errorf("ParseProtocol: %v; want what is accepted", err)
	}
}
