package inspect

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/tests/golden"
)

// scenario is what the keys files tell of a capture.
type scenario struct {
	caks []CAK
	saks map[string]string // hex of the SAK by key identifier MI/KN
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loadJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// scenarios are the seven captures with end a's CAK.
func scenarios(t testing.TB) map[string]scenario {
	t.Helper()
	all := map[string]scenario{}
	var v1 map[string]map[string]struct {
		CAK string `json:"mka_cak"`
		CKN string `json:"mka_ckn"`
		SA  []struct {
			KeyID string `json:"keyid"`
			Key   string `json:"key"`
		} `json:"installed_sa"`
	}
	loadJSON(t, "testdata/keys.json", &v1)
	for name, ends := range v1 {
		a := ends["a"]
		s := scenario{saks: map[string]string{}}
		s.caks = []CAK{{CKN: unhex(t, a.CKN), CAK: secret.New(unhex(t, a.CAK))}}
		for _, x := range a.SA {
			id := unhex(t, x.KeyID)
			key := sa.KeyID{MI: sa.MI(id), KN: binary.LittleEndian.Uint32(id[12:])}
			s.saks[key.String()] = x.Key
		}
		all[name] = s
	}
	var v3 map[string]struct {
		CAK, CKN    string
		Distributed []struct {
			KN  uint32
			MI  string `json:"key_server_mi"`
			SAK string
		}
	}
	loadJSON(t, "testdata/keys-v3.json", &v3)
	for name, x := range v3 {
		s := scenario{saks: map[string]string{}}
		s.caks = []CAK{{CKN: unhex(t, x.CKN), CAK: secret.New(unhex(t, x.CAK))}}
		for _, d := range x.Distributed {
			s.saks[fmt.Sprintf("%s/%d", d.MI, d.KN)] = d.SAK
		}
		all[name] = s
	}
	return all
}

// explain runs a whole capture and gives its records and the last error.
func explain(t testing.TB, in *Inspector, r io.Reader) ([]Record, error) {
	t.Helper()
	c, err := NewCapture(r)
	if err != nil {
		return nil, err
	}
	var records []Record
	for {
		p, err := c.Next()
		if err != nil {
			return records, err
		}
		records = append(records, in.Packet(p))
	}
}

func newInspector(t testing.TB, o Options) *Inspector {
	t.Helper()
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestCaptures finds every SAK that the ends logged and decrypts every
// protected frame, and holds all text and JSON against the golden files.
func TestCaptures(t *testing.T) {
	all := scenarios(t)
	if len(all) != 7 {
		t.Fatalf("%d captures, want 7", len(all))
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open("testdata/" + name + ".pcap")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			in := newInspector(t, Options{CAKs: s.caks, ShowKeys: true})
			records, err := explain(t, in, f)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("not read to the end: %v", err)
			}
			found, protected := map[string]string{}, 0
			var text strings.Builder
			for i := range records {
				r := &records[i]
				text.WriteString(r.Text() + "\n")
				line, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				text.Write(append(line, '\n'))
				if m := r.MKA; m != nil {
					if want := ICVOK; name != "badcak" && m.ICV != want {
						t.Errorf("frame %d: MKPDU icv %s", r.Frame, m.ICV)
					}
					if d := m.DistributedSAK; d != nil {
						found[fmt.Sprintf("%s/%d", m.MI, d.KN)] = d.SAK
					}
				}
				if m := r.MACsec; m != nil {
					protected++
					// ARP or IPv4 tells that the plaintext is right.
					if m.ICV != ICVOK || !strings.HasPrefix(m.Plaintext[24:], "080") || s.saks[m.Key] == "" {
						t.Errorf("frame %d: %+v", r.Frame, m)
					}
				}
			}
			if diff := cmp.Diff(s.saks, found); diff != "" {
				t.Errorf("SAKs, logged (-) and found (+): %s", diff)
			}
			if want := map[bool]int{true: 0, false: 6}[name == "badcak"]; protected < want {
				t.Errorf("%d protected frames, want at least %d", protected, want)
			}
			text.WriteString(strings.Join(in.Verdict(), "\n") + "\n")
			golden.Check(t, "testdata/"+name+".golden", text.String())
		})
	}
}

// TestBadCAK is the verdict on two ends with two CAKs: from end a, from end
// b, from one who has both, and from one who has neither.
func TestBadCAK(t *testing.T) {
	pcap, err := os.ReadFile("testdata/badcak.pcap")
	if err != nil {
		t.Fatal(err)
	}
	ckn := unhex(t, "b0b0b0b0")
	cak := func(last byte) CAK {
		k := unhex(t, "00112233445566778899aabbccddee00")
		k[15] = last
		return CAK{CKN: ckn, CAK: secret.New(k)}
	}
	const a, b = "02000000150a0001", "02000000150b0001"
	for _, c := range []struct {
		name string
		caks []CAK
		want []string
	}{
		{"a", []CAK{cak(0)}, []string{"CAK differs: every ICV of " + b + " (6 MKPDUs)", "which " + a + " proves itself", "never list each other"}},
		{"b", []CAK{cak(1)}, []string{"CAK differs: every ICV of " + a + " (5 MKPDUs)"}},
		{"both", []CAK{cak(0), cak(1)}, []string{"CAK differs: " + b + " and " + a + " prove themselves with two"}},
		{"neither", []CAK{cak(2)}, []string{"ICV bad: every MKPDU of " + b + " and " + a + " is wrong under the CAK given"}},
		{"none", nil, []string{"CKN unknown: no CAK was given"}},
	} {
		in := newInspector(t, Options{CAKs: c.caks})
		if _, err := explain(t, in, strings.NewReader(string(pcap))); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		verdict := strings.Join(in.Verdict(), "\n")
		for _, w := range append(c.want, "CKN b0b0b0b0: down") {
			if !strings.Contains(verdict, w) {
				t.Errorf("%s: no %q in the verdict:\n%s", c.name, w, verdict)
			}
		}
	}
}

// TestKeysHidden: without ShowKeys no SAK and no decrypted octet is printed.
func TestKeysHidden(t *testing.T) {
	for name, s := range scenarios(t) {
		f, err := os.Open("testdata/" + name + ".pcap")
		if err != nil {
			t.Fatal(err)
		}
		in := newInspector(t, Options{CAKs: s.caks})
		records, _ := explain(t, in, f)
		f.Close()
		for i := range records {
			line, err := json.Marshal(records[i])
			if err != nil {
				t.Fatal(err)
			}
			out := records[i].Text() + string(line)
			if strings.Contains(out, "plaintext") || strings.Contains(out, `"sak"`) {
				t.Errorf("%s frame %d: %s", name, records[i].Frame, out)
			}
			for _, key := range s.saks {
				if strings.Contains(out, key) {
					t.Errorf("%s frame %d: the SAK is printed", name, records[i].Frame)
				}
			}
		}
	}
}
