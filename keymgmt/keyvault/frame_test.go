package keyvault

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

func TestFrame(t *testing.T) {
	m := meta{Versions: []Version{{Ref: Ref{CAK, "1"}, Enabled: true, Pair: "p", NotBefore: t0, Created: t0}}, Fault: &Fault{Kind: Throttled, Text: "x", RetryAfter: 5}}
	octets := []byte(strings.Repeat("k", 16))
	values := []Value{{Ref: Ref{CAK, "1"}, Octets: secret.New(bytes.Clone(octets))}, {Ref: Ref{CKN, "2"}, Wrong: "is not hex"}, {Ref: Ref{PSK, "3"}, Octets: secret.New([]byte("word")), Text: true}}
	sent := values[0].Octets.Bytes()
	var b bytes.Buffer
	if err := writeAnswer(&b, m, values); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, make([]byte, 16)) {
		t.Error("what was sent is not zeroed")
	}
	if i := bytes.Index(b.Bytes(), octets); i < b.Len()-len(octets)-len("word") {
		t.Errorf("the value is at %d of %d: in the JSON", i, b.Len())
	}
	whole := bytes.Clone(b.Bytes())
	got, vs, err := readAnswer(&b)
	if err != nil {
		t.Fatal(err)
	}
	got.Values = nil
	if d := cmp.Diff(m, got, cmp.AllowUnexported(Fault{})); d != "" {
		t.Error(d)
	}
	if len(vs) != 3 || !bytes.Equal(vs[0].Octets.Bytes(), octets) || vs[1].Octets != nil || vs[1].Wrong != "is not hex" || !vs[2].Text || string(vs[2].Octets.Bytes()) != "word" {
		t.Errorf("%v", vs)
	}
	for n := range whole {
		if _, vs, err := readAnswer(bytes.NewReader(whole[:n])); err == nil || vs != nil {
			t.Fatalf("the first %d of %d octets are an answer", n, len(whole))
		}
	}
	if _, _, err := readAnswer(bytes.NewReader(append(whole, 0))); err == nil {
		t.Error("more behind the values is an answer")
	}
}

// Whatever the child writes: an answer that can be written again, or an error
// without any of it.
func FuzzAnswer(f *testing.F) {
	var b bytes.Buffer
	if err := writeAnswer(&b, meta{Written: &Written{CKN: "x"}}, []Value{{Ref: Ref{CAK, "1"}, Octets: secret.New(make([]byte, 32))}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, values, err := readAnswer(bytes.NewReader(data))
		if err != nil {
			if values != nil || m.Written != nil {
				t.Fatal("an error and an answer")
			}
			return
		}
		octets := 0
		for _, v := range values {
			octets += v.Octets.Len()
		}
		m.Values = nil
		var b bytes.Buffer
		if err := writeAnswer(&b, m, values); err != nil {
			t.Fatal(err)
		}
		if _, again, err := readAnswer(&b); err != nil || len(again) != len(values) || octets > len(data) {
			t.Fatalf("%d values of %d octets, then %d, %v", len(values), octets, len(again), err)
		}
	})
}
