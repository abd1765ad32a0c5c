package eapol

import (
	"encoding/hex"
	"testing"

	"golang.org/x/net/bpf"
)

// The part of the filter that looks at octets alone, run in bpf.VM. What the
// kernel adds (received, ours) is tested live.
func TestFilterOctets(t *testing.T) {
	const (
		src  = "021122334455"
		body = "0300000000000000"
		pae  = "0180c2000003"
	)
	tests := []struct {
		name  string
		opts  Options
		frame string
		pad   int // frame length, 0 as it is
		pass  bool
	}{
		{"mkpdu", def, pae + src + "888e" + "0305" + body, 0, true},
		{"mkpdu, version 2", def, pae + src + "888e" + "0205" + body, 0, true},
		{"longest", def, pae + src + "888e" + "0305", MaxFrame, true},
		{"too long", def, pae + src + "888e" + "0305", MaxFrame + 1, false},
		{"shortest that has a type", def, pae + src + "888e" + "0305", 0, true},
		{"cut before the type", def, pae + src + "888e" + "03", 0, false},
		{"cut before the ethertype", def, pae + src + "88", 0, false},
		{"empty", def, "", 0, false},
		{"eap packet", def, pae + src + "888e" + "0300" + body, 0, false},
		{"eapol-start", def, pae + src + "888e" + "0301" + body, 0, false},
		{"announcement", def, pae + src + "888e" + "0307" + body, 0, false},
		{"another group", def, "0180c200000e" + src + "888e" + "0305" + body, 0, false},
		{"group differs in its first octets", def, "0181c2000003" + src + "888e" + "0305" + body, 0, false},
		{"unicast", def, "024455667788" + src + "888e" + "0305" + body, 0, false},
		{"broadcast", def, "ffffffffffff" + src + "888e" + "0305" + body, 0, false},
		{"macsec", def, pae + src + "88e5" + "0305" + body, 0, false},
		{"802.1Q tag in the frame", def, pae + src + "8100000a" + "888e" + "0305" + body, 0, false},
		{"priority tag in the frame", def, pae + src + "8100e000" + "888e" + "0305" + body, 0, false},
		{"802.1ad tag in the frame", def, pae + src + "88a8000a" + "888e" + "0305" + body, 0, false},
		{"configured", wan, "ffffffffffff" + src + "876f" + "0305" + body, 0, true},
		{"configured, default group", wan, pae + src + "876f" + "0305" + body, 0, false},
		{"configured, default ethertype", wan, "ffffffffffff" + src + "888e" + "0305" + body, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vm, err := bpf.NewVM(append(mka(tt.opts.EtherType), group(tt.opts.Destination)...))
			if err != nil {
				t.Fatal(err)
			}
			frame, err := hex.DecodeString(tt.frame)
			if err != nil {
				t.Fatal(err)
			}
			if tt.pad > 0 {
				frame = append(frame, make([]byte, tt.pad-len(frame))...)
			}
			n, err := vm.Run(frame)
			if err != nil {
				t.Fatal(err)
			}
			if pass := n > 0; pass != tt.pass {
				t.Fatalf("passed %v, want %v", pass, tt.pass)
			}
			if n > 0 && n < len(frame) {
				t.Fatalf("%d of %d octets passed", n, len(frame))
			}
		})
	}
}

var (
	def = Options{Destination: PAEGroup, EtherType: EtherType}
	wan = Options{Destination: [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EtherType: 0x876f}
)

func TestProgramAssembles(t *testing.T) {
	if _, err := bpf.Assemble(program(def)); err != nil {
		t.Fatal(err)
	}
}

func TestListenRefuses(t *testing.T) {
	for name, call := range map[string]func() (*Conn, error){
		"ethertype that is a length": func() (*Conn, error) { return Listen(1, Options{Destination: PAEGroup, EtherType: 0x05ff}) },
		"no device":                  func() (*Conn, error) { return Listen(0, def) },
	} {
		c, err := call()
		if err == nil {
			c.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
