package inspect

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// frames is a short exchange with a MACsec frame at its end.
func frames(t testing.TB) [][]byte {
	a, b := newNode(t, 1), newNode(t, 2)
	k := key{server: a, kn: 1, suite: sa.GCMAES128, code: 1}
	return [][]byte{a.hello(nil), b.hello(nil, a), a.hello(k.distribute, b), k.frame(a, softsecy.SC, 1, 0)}
}

func info(i int, f []byte) gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: time.Unix(1e9, int64(i)*1001).UTC(), CaptureLength: len(f), Length: len(f)}
}

func pcapOf(t testing.TB, link layers.LinkType, list ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for i, f := range list {
		if err := w.WritePacket(info(i, f), f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func pcapngOf(t testing.TB, links []layers.LinkType, list ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, links[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links[1:] {
		if _, err := w.AddInterface(pcapgo.NgInterface{LinkType: link}); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range list {
		ci := info(i, f)
		ci.InterfaceIndex = i % len(links)
		if err := w.WritePacket(ci, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pcapngWithFCS says of each packet that its last 4 octets are the FCS.
func pcapngWithFCS(t testing.TB, list ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range list {
		o := pcapgo.NgPacketOptions{Flags: &pcapgo.NgEpbFlags{FCSLen: pcapgo.NewNgEpbFlagFCSLength(4)}}
		if err := w.WritePacketWithOptions(info(i, f), f, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withFCSLen gives the first interface of a pcapng file an if_fcslen.
func withFCSLen(b []byte, n byte) []byte {
	at := int(binary.LittleEndian.Uint32(b[4:])) // the section header's length
	out := append(bytes.Clone(b[:at+16]), 13, 0, 1, 0, n, 0, 0, 0)
	out = append(out, b[at+16:]...)
	length := binary.LittleEndian.Uint32(b[at+4:])
	binary.LittleEndian.PutUint32(out[at+4:], length+8)
	binary.LittleEndian.PutUint32(out[at+int(length)+4:], length+8)
	return out
}

// bigEndian turns a nanosecond pcap round.
func bigEndian(b []byte) []byte {
	out := bytes.Clone(b)
	swap := func(at int) { binary.BigEndian.PutUint32(out[at:], binary.LittleEndian.Uint32(b[at:])) }
	for _, at := range []int{0, 8, 12, 16, 20} {
		swap(at)
	}
	binary.BigEndian.PutUint16(out[4:], binary.LittleEndian.Uint16(b[4:]))
	binary.BigEndian.PutUint16(out[6:], binary.LittleEndian.Uint16(b[6:]))
	for at := 24; at < len(b); at += 16 + int(binary.LittleEndian.Uint32(b[at+8:])) {
		for i := 0; i < 16; i += 4 {
			swap(at + i)
		}
	}
	return out
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFileForms(t *testing.T) {
	list := frames(t)
	pcap := pcapOf(t, layers.LinkTypeEthernet, list...)
	withFCS := make([][]byte, len(list))
	for i, f := range list {
		withFCS[i] = append(bytes.Clone(f), 1, 2, 3, 4)
	}
	fcs := pcapOf(t, layers.LinkTypeEthernet, withFCS...)
	binary.LittleEndian.PutUint32(fcs[20:], 0x24000001) // FCS of 4 octets
	for name, b := range map[string][]byte{
		"pcap": pcap, "big-endian": bigEndian(pcap), "gzip": zipped(t, pcap), "with FCS": fcs,
		"pcapng": pcapngOf(t, []layers.LinkType{layers.LinkTypeEthernet}, list...), "pcapng with FCS": pcapngWithFCS(t, withFCS...),
		"pcapng of an interface with FCS": withFCSLen(pcapngOf(t, []layers.LinkType{layers.LinkTypeEthernet}, withFCS...), 4),
		"the same, in bits":               withFCSLen(pcapngOf(t, []layers.LinkType{layers.LinkTypeEthernet}, withFCS...), 32),
	} {
		l := newLink(t)
		records, err := explain(t, l.Inspector, bytes.NewReader(b))
		if !errors.Is(err, io.EOF) || len(records) != len(list) {
			t.Fatalf("%s: %d records, %v", name, len(records), err)
		}
		for i, r := range records {
			if r.Error != "" || r.Frame != i+1 || !r.Time.Equal(time.Unix(1e9, int64(i)*1001)) {
				t.Errorf("%s: frame %d at %v: %s", name, i+1, r.Time, r.Text())
			}
		}
		if m := records[len(list)-1].MACsec; m == nil || m.ICV != ICVOK {
			t.Errorf("%s: the MACsec frame: %s", name, records[len(list)-1].Text())
		}
	}
}

func TestNotACapture(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "0 octets are no pcap or pcapng file"},
		{"text", []byte("keys:\n  - ckn: 96437a93ccf10d9d\n"), "no pcap or pcapng file: it starts with 6b657973"},
		{"cooked", pcapOf(t, layers.LinkTypeLinuxSLL), "link type 113 (Linux cooked) has no destination address"},
		{"cooked 2", pcapOf(t, 276), "link type 276 (Linux cooked)"},
		{"raw IP", pcapOf(t, layers.LinkTypeRaw), "is not Ethernet"},
		{"gzip of nothing", zipped(t, nil), "0 octets are no pcap"},
		{"pcapng cut", pcapngOf(t, []layers.LinkType{layers.LinkTypeEthernet})[:27], "pcapng:"},
	} {
		if _, err := NewCapture(bytes.NewReader(c.b)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
	}
}

// TestMixedLinks: a packet of another interface is reported and not fatal.
func TestMixedLinks(t *testing.T) {
	list := frames(t)
	b := pcapngOf(t, []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL}, list[0], list[0], list[1])
	l := newLink(t)
	records, err := explain(t, l.Inspector, bytes.NewReader(b))
	if !errors.Is(err, io.EOF) || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if r := records[1]; r.Frame != 2 || !strings.Contains(r.Error, "Linux cooked") {
		t.Errorf("%s", r.Text())
	}
	if r := records[2]; r.Kind != KindMKA || r.MKA.ICV != ICVOK {
		t.Errorf("%s", r.Text())
	}
}

// TestCutShort ends the file at every octet: the whole packets are explained,
// the last is reported unless the cut is between two.
func TestCutShort(t *testing.T) {
	list := frames(t)
	for name, b := range map[string][]byte{
		"pcap":   pcapOf(t, layers.LinkTypeEthernet, list...),
		"pcapng": pcapngOf(t, []layers.LinkType{layers.LinkTypeEthernet}, list...),
	} {
		whole := 0
		for n := 24; n < len(b); n++ {
			l := newLink(t)
			records, err := explain(t, l.Inspector, bytes.NewReader(b[:n]))
			if records == nil && err != nil && !errors.Is(err, io.EOF) {
				continue // inside the header
			}
			if errors.Is(err, io.EOF) {
				whole++
				continue
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			last := records[len(records)-1]
			if !strings.Contains(last.Error, "cut short") {
				t.Fatalf("%s cut at %d: %s", name, n, last.Text())
			}
			if _, err := json.Marshal(last); err != nil {
				t.Fatal(err)
			}
		}
		if whole < len(list) {
			t.Errorf("%s: %d cuts were between packets, want at least %d", name, whole, len(list))
		}
	}
	// What there is of the last packet is explained.
	b := pcapOf(t, layers.LinkTypeEthernet, list...)
	l := newLink(t)
	records, _ := explain(t, l.Inspector, bytes.NewReader(b[:len(b)-1]))
	r := records[len(list)-1]
	if r.Kind != KindMACsec || r.MACsec.SCI != "0200000000010001" || r.MACsec.ICV != ICVNoKey || r.MACsec.Length != 102 || !strings.Contains(r.Error, "with 145 of its 146 octets") {
		t.Errorf("%s", r.Text())
	}
}

// TestSnapLength has the capture cut every frame everywhere.
func TestSnapLength(t *testing.T) {
	for _, f := range frames(t) {
		for n := range f {
			l := newLink(t)
			l.agree(key{server: l.a, kn: 1, suite: sa.GCMAES128, code: 1})
			r := l.Frame(l.now, f[:n], len(f))
			if !strings.Contains(r.Error, "snap length") {
				t.Fatalf("%d of %d octets: %s", n, len(f), r.Text())
			}
			if r.MKA != nil && r.MKA.ICV == ICVOK || r.MACsec != nil && r.MACsec.ICV == ICVOK {
				t.Fatalf("%d of %d octets are authentic: %s", n, len(f), r.Text())
			}
			if _, err := json.Marshal(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAltered changes every octet of every frame of a capture, one at a time:
// the frame is not authentic, and nothing that is comes out of it.
func TestAltered(t *testing.T) {
	s := scenarios(t)["xpn256"]
	f, err := os.Open("testdata/xpn256.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := NewCapture(f)
	if err != nil {
		t.Fatal(err)
	}
	in := newInspector(t, Options{CAKs: s.caks})
	for n := 1; ; n++ {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		g := bytes.Clone(p.Data)
		for at := range g {
			g[at] ^= 0xff
			r := in.Frame(p.Time, g, len(g))
			if r.MKA != nil && r.MKA.ICV == ICVOK || r.MACsec != nil && r.MACsec.ICV == ICVOK {
				t.Fatalf("packet %d with octet %d changed: %s", n, at, r.Text())
			}
			g[at] ^= 0xff
		}
		if r := in.Packet(p); r.MKA != nil && r.MKA.ICV != ICVOK || r.MACsec != nil && r.MACsec.ICV != ICVOK {
			t.Fatalf("packet %d after the changed ones: %s", n, r.Text())
		}
	}
}

// FuzzInspect: no file makes the reader or the Inspector panic, and what
// comes out is JSON.
func FuzzInspect(f *testing.F) {
	s := scenarios(f)
	var caks []CAK
	for _, name := range slices.Sorted(maps.Keys(s)) {
		b, err := os.ReadFile("testdata/" + name + ".pcap")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 2500)])
		caks = append(caks, s[name].caks...)
	}
	list := frames(f)
	f.Add(pcapngOf(f, []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL}, list...))
	f.Add(pcapOf(f, layers.LinkTypeEthernet, list...))
	caks = append(caks, CAK{CKN: []byte("link"), CAK: testCAK(1)})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newInspector(t, Options{CAKs: caks, ShowKeys: true})
		c, err := NewCapture(bytes.NewReader(b))
		if err != nil {
			return
		}
		for n := 0; n < 1000; n++ {
			p, err := c.Next()
			if err != nil {
				break
			}
			r := in.Packet(p)
			line, err := json.Marshal(r)
			if err != nil || !json.Valid(line) || strings.Contains(r.Text(), "%!") {
				t.Fatalf("frame %d: %v: %s", r.Frame, err, r.Text())
			}
		}
		in.Verdict()
	})
}
