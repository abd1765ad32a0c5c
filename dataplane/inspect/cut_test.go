package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// snappedAt is a pcap of the frames with a snap length.
func snappedAt(t *testing.T, snap int, list ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(uint32(snap), layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, f := range list {
		n := min(snap, len(f))
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: info(i, f).Timestamp, CaptureLength: n, Length: len(f)}, f[:n]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// TestSnapLengthVerdict captures a link that is up with ever more octets: the
// verdict never says what the octets that are missing may refute.
func TestSnapLengthVerdict(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	k := key{server: a, kn: 1, suite: sa.GCMAES128, code: 1}
	list := [][]byte{
		a.hello(nil), b.hello(nil, a), a.hello(k.distribute, b), b.hello(k.use(false), a), a.hello(k.use(true), b), b.hello(k.use(true), a),
		k.frame(a, softsecy.SC, 1, 0), k.frame(b, softsecy.SC, 1, 0), k.frame(b, softsecy.SC, 2, 0),
	}
	longest := 0
	for _, f := range list {
		longest = max(longest, len(f))
	}
	const ckn = "CKN 6c696e6b: "
	for snap := 1; snap < longest; snap++ {
		l := newLink(t)
		records, err := explain(t, l.Inspector, bytes.NewReader(snappedAt(t, snap, list...)))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		verdict := strings.Join(l.Verdict(), "\n")
		for _, wrong := range []string{"no MKPDU", ckn + "down", "could not be read", "0000000000000000", "1 with a wrong ICV", "2 with a wrong ICV", "3 with a wrong ICV"} {
			if strings.Contains(verdict, wrong) {
				t.Fatalf("snap length %d: %q in the verdict:\n%s", snap, wrong, verdict)
			}
		}
		if !strings.Contains(verdict, fmt.Sprintf("cut by the snap length, to %d octets at the most, and cannot be judged (", snap)) {
			t.Fatalf("snap length %d: the cut is not in the verdict:\n%s", snap, verdict)
		}
		for _, r := range records {
			if strings.Contains(r.Text(), "ckn  ") || strings.Contains(r.Text(), "0000000000000000") {
				t.Fatalf("snap length %d: %s", snap, r.Text())
			}
		}
	}
	for _, c := range []struct {
		snap int
		want []string
	}{
		{13, []string{"9 frames were cut by the snap length, to 13 octets at the most, and cannot be judged (9 of unknown kind)"}},
		{15, []string{"(3 MACsec, 6 of unknown kind)", "CKN 6c696e6b: no whole MKPDU of it"}},
		{53, []string{"(6 MKA, 3 MACsec)", "no whole MKPDU"}},
		{54, []string{ckn + "not known: all its MKPDUs were cut by the snap length", "(6 MKA, 3 MACsec)",
			"MACsec frames: 3: 0 verified, 0 with a wrong ICV, 0 under no known key, 3 cut before the ICV"}},
		{len(list[0]), []string{ckn + "not known", "5 MKPDUs were cut by the snap length; what follows is of the others alone"}},
	} {
		l := newLink(t)
		if _, err := explain(t, l.Inspector, bytes.NewReader(snappedAt(t, c.snap, list...))); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		l.wantVerdict(c.want...)
	}
	// Without a cut none of it is said.
	l := newLink(t)
	if _, err := explain(t, l.Inspector, bytes.NewReader(snappedAt(t, longest, list...))); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	l.wantVerdict(ckn+"up", "MACsec frames: 3, all verified")
	if verdict := strings.Join(l.Verdict(), "\n"); strings.Contains(verdict, "cut") {
		t.Errorf("nothing was cut:\n%s", verdict)
	}
}

// Where the snap length takes padding alone, the frame is judged.
func TestSnapLengthInPadding(t *testing.T) {
	l := newLink(t)
	l.agree(key{server: l.a, kn: 1, suite: sa.GCMAES128, code: 1})
	f := l.a.hello(nil)
	if r := l.Frame(l.now, f, len(f)+10); r.MKA == nil || r.MKA.ICV != ICVOK {
		t.Errorf("%s", r.Text())
	}
}

// A cut MKPDU still tells who speaks, and says that it was cut.
func TestCutMKPDU(t *testing.T) {
	l := newLink(t)
	f := l.a.hello(nil, l.b)
	r := l.Frame(l.now, f[:70], len(f))
	if r.MKA == nil || r.MKA.CKN != "6c696e6b" || r.MKA.SCI != l.a.sci().String() || r.MKA.ICV != ICVUnknownCKN || !strings.Contains(r.Error, "70 of the frame's") {
		t.Errorf("%s %+v", r.Text(), r.MKA)
	}
	if text := r.Text(); !strings.Contains(text, "icv not captured ckn 6c696e6b sci 0200000000010001") {
		t.Errorf("%s", text)
	}
	r = l.Frame(l.now, f[:40], len(f))
	if text := r.Text(); !strings.Contains(text, "icv not captured\n") || r.MKA.SCI != "" {
		t.Errorf("%s", text)
	}
	// One that is malformed as far as it goes is not called cut.
	f[14] = 0
	if r = l.Frame(l.now, f, len(f)); r.MKA.cut {
		t.Errorf("%s", r.Text())
	}
}
