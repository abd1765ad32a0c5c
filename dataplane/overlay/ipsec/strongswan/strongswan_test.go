package strongswan

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/strongswan/govici/vici"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// element is one of vici's: a key with its value.
func element(key, value string) []byte {
	b := append([]byte{keyValue, byte(len(key))}, key...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(value))), value...)
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// A secret goes out as vici has it, and no copy of the packet stays with us.
func TestLoadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vici")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []byte, 1)
	go func() {
		for _, reply := range [][]byte{element("success", "yes"), append(element("success", "no"), element("errmsg", "no room")...)} {
			s, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, _ := s.Read(b)
			got <- b[:n]
			s.Write(framed(append([]byte{cmdResponse}, reply...)))
			s.Close()
		}
	}()
	c := &Client{link: &link{path: path}}
	if err := c.LoadSecret("linkseal.hub1/k1", []string{"them", "1.them"}, secret.New([]byte("the secret"))); err != nil {
		t.Fatal(err)
	}
	want := append([]byte{cmdRequest, 11}, "load-shared"...)
	want = append(want, element("id", "linkseal.hub1/k1")...)
	want = append(want, element("type", "IKE")...)
	want = append(append(want, listStart, 6), "owners"...)
	for _, o := range []string{"them", "1.them"} {
		want = append(binary.BigEndian.AppendUint16(append(want, listItem), uint16(len(o))), o...)
	}
	want = append(append(want, listEnd), element("data", "the secret")...)
	if diff := cmp.Diff(framed(want), <-got); diff != "" {
		t.Error(diff)
	}
	err = c.LoadSecret("k", nil, secret.New([]byte("s")))
	if err == nil || !strings.Contains(err.Error(), "load-shared: no room") {
		t.Errorf("refused: %v", err)
	}
	for _, k := range []*secret.Key{secret.New(nil), secret.New(make([]byte, 70000))} {
		if err := c.LoadSecret("k", nil, k); err == nil {
			t.Errorf("a secret of %d octets is taken", k.Len())
		}
	}
	if err := c.LoadSecret("k", []string{strings.Repeat("x", 70000)}, secret.New([]byte("s"))); err == nil {
		t.Error("an owner of 70000 octets is taken")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(framed(append([]byte{cmdResponse}, element("success", "yes")...)))
	f.Add([]byte{0, 0, 0, 3, cmdResponse, keyValue, 200})
	f.Add([]byte{255, 255, 255, 255})
	for _, n := range []int{253, 254, 255} { // the most that a name may have
		f.Add(framed(append([]byte{cmdResponse}, element(strings.Repeat("k", n), "x")...)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if said, err := answer(bytes.NewReader(b)); err == nil && said["success"] != "yes" {
			t.Errorf("%q is taken", said)
		}
	})
}

func TestSAs(t *testing.T) {
	m, err := message(conn.Section{
		{Key: "uniqueid", Value: conn.Text("12")}, {Key: "state", Value: conn.Text("ESTABLISHED")}, {Key: "initiator", Value: conn.Text("yes")},
		{Key: "initiator-spi", Value: conn.Text("3717dc663e6a779a")},
		{Key: "local-host", Value: conn.Text("10.0.0.4")}, {Key: "local-port", Value: conn.Text("4500")}, {Key: "local-id", Value: conn.Text("us")},
		{Key: "remote-host", Value: conn.Text("fd00::5")}, {Key: "remote-port", Value: conn.Text("500")}, {Key: "remote-id", Value: conn.Text("them")},
		{Key: "encr-alg", Value: conn.Text("AES_GCM_16")}, {Key: "encr-keysize", Value: conn.Text("256")},
		{Key: "prf-alg", Value: conn.Text("PRF_HMAC_SHA2_384")}, {Key: "dh-group", Value: conn.Text("ECP_384")},
		{Key: "established", Value: conn.Text("90")},
		{Key: "child-sas", Value: conn.Section{{Key: "x-3", Value: conn.Section{
			{Key: "name", Value: conn.Text("x")}, {Key: "uniqueid", Value: conn.Text("3")}, {Key: "state", Value: conn.Text("REKEYED")},
			{Key: "mode", Value: conn.Text("TUNNEL")}, {Key: "encap", Value: conn.Text("yes")}, {Key: "esn", Value: conn.Text("1")},
			{Key: "spi-in", Value: conn.Text("c0d155e9")}, {Key: "spi-out", Value: conn.Text("0360cf15")}, {Key: "if-id-in", Value: conn.Text("0000002a")},
			{Key: "encr-alg", Value: conn.Text("AES_CBC")}, {Key: "encr-keysize", Value: conn.Text("128")}, {Key: "integ-alg", Value: conn.Text("HMAC_SHA2_256_128")},
			{Key: "bytes-in", Value: conn.Text("1")}, {Key: "bytes-out", Value: conn.Text("18446744073709551615")}, {Key: "packets-in", Value: conn.Text("3")}, {Key: "packets-out", Value: conn.Text("4")},
			{Key: "install-time", Value: conn.Text("7")}, {Key: "local-ts", Value: conn.List{"0.0.0.0/0"}}, {Key: "remote-ts", Value: conn.List{"10.0.0.0/8", "::/0"}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ikeSA("linkseal.hub1.0", m)
	want := IKESA{
		Connection: "linkseal.hub1.0", ID: 12, State: "ESTABLISHED", Local: netip.MustParseAddrPort("10.0.0.4:4500"), Remote: netip.MustParseAddrPort("[fd00::5]:500"),
		LocalID: "us", RemoteID: "them", Initiator: true, SPI: "3717dc663e6a779a", Established: 90 * time.Second, Suite: "aes256gcm16-prfsha384-ecp384",
		Children: []ChildSA{{
			Name: "x", ID: 3, State: "REKEYED", Mode: "TUNNEL", Encap: true, ESN: true, SPIIn: 0xc0d155e9, SPIOut: 0x0360cf15, IfID: 42, Suite: "aes128-sha256-esn",
			RxOctets: 1, TxOctets: 1<<64 - 1, RxPackets: 3, TxPackets: 4, Age: 7 * time.Second, LocalTS: []string{"0.0.0.0/0"}, RemoteTS: []string{"10.0.0.0/8", "::/0"},
		}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if !got.Up() || !got.Children[0].Installed() {
		t.Error("it is not up")
	}
	if err := m.Set("uniqueid", "twelve"); err != nil {
		t.Fatal(err)
	}
	if got, err := ikeSA("x", m); err == nil {
		t.Errorf("a number that is none: %+v", got)
	}
}

func TestEvents(t *testing.T) {
	log, err := message(conn.Section{{Key: "group", Value: conn.Text("IKE")}, {Key: "ikesa-name", Value: conn.Text("x")}, {Key: "ikesa-uniqueid", Value: conn.Text("9")}, {Key: "msg", Value: conn.Text("hello")}})
	if err != nil {
		t.Fatal(err)
	}
	if l := LogLine(log); l.SA != 9 || l.Name != "x" || l.Group != "IKE" || l.Text != "hello" {
		t.Errorf("%+v", l)
	}
	rekey, err := message(conn.Section{{Key: "x", Value: conn.Section{
		{Key: "old", Value: conn.Section{{Key: "uniqueid", Value: conn.Text("1")}}}, {Key: "new", Value: conn.Section{{Key: "uniqueid", Value: conn.Text("2")}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if name, old, now := Rekeyed(rekey); name != "x" || old != 1 || now != 2 {
		t.Errorf("%q, %d, %d", name, old, now)
	}
	if name, old, now := Rekeyed(vici.NewMessage()); name != "" || old != 0 || now != 0 {
		t.Errorf("of nothing: %q, %d, %d", name, old, now)
	}
}
