package softsecy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// TestVectorsThroughSecY sends every vector out of one SecY and into another.
func TestVectorsThroughSecY(t *testing.T) {
	positive := 0
	for _, v := range vectors(t) {
		if v.Negative {
			continue
		}
		positive++
		t.Run(v.Name, func(t *testing.T) {
			frame, plain := unhex(t, v.Encrypted), unhex(t, v.Plaintext)
			suite, _ := sa.ParseSuite(strings.ToLower(v.Cipher))
			pn := unhex(t, v.PN)
			a := sa.SA{AN: v.AN, Key: keyID(1), SAK: secret.New(unhex(t, v.Key)), PN: binary.BigEndian.Uint64(append(make([]byte, 8-len(pn)), pn...))}
			if suite.XPN() {
				a.SSCI, a.Salt = binary.BigEndian.Uint32(unhex(t, v.SSCI)), [12]byte(unhex(t, v.Salt))
			}
			tci := TCI(unhex(t, v.TCIAN)[0] &^ 3)
			c := Config{SCI: sa.SCI(unhex(t, v.SCI)), Suite: suite, Offset: v.Offset,
				Parameters: Parameters{Encrypt: tci.Has(E), SendSCI: tci.Has(SC), EndStation: tci.Has(ES)}}
			s := newSecY(t, c)
			must(t, s.SetControlledPort(sa.Secured))
			must(t, s.Apply(sa.Change{Kind: sa.InstallTx, SA: a}))
			must(t, s.Apply(sa.Change{Kind: sa.Encode, SA: a}))
			must(t, s.Apply(sa.Change{Kind: sa.InstallRx, SCI: c.SCI, SA: a}))
			got, ok := s.NewTransmitter().Protect(spaced(plain))
			if !ok || !bytes.Equal(got, frame) {
				t.Errorf("Protect: %v, %x, want %x", ok, got, frame)
			}
			r := s.NewReceiver()
			for i := range frame {
				bad := bytes.Clone(frame)
				bad[i] ^= 1
				if _, ok := r.Validate(bad); ok {
					t.Errorf("a flipped bit in octet %d passes", i)
				}
			}
			got, ok = r.Validate(frame)
			if !ok || !bytes.Equal(got, plain) {
				t.Errorf("Validate: %v, %x, want %x", ok, got, plain)
			}
		})
	}
	if positive != 39 {
		t.Errorf("%d vectors, want 39", positive)
	}
}

// TestLengths goes over suites, offsets, modes, SecTAG forms and lengths,
// padded and not, between two SecYs.
func TestLengths(t *testing.T) {
	for _, suite := range sa.Suites() {
		for _, offset := range []int{0, 30, 50} {
			for flags := range 8 {
				if suite.XPN() && offset != 0 {
					continue
				}
				c := Config{Suite: suite, Offset: offset, Parameters: Parameters{Encrypt: flags&1 != 0, SendSCI: flags&2 != 0, EndStation: flags&4 != 0}}
				tx, rx := pair(t, c, 1, 1)
				tr, rr := tx.NewTransmitter(), rx.NewReceiver()
				octets := uint64(0)
				lengths := []int{2, 16, 29, 30, 31, 46, 47, 48, 49, 50, 51, 1500, 9000}
				for _, n := range lengths {
					frame := plain("", n)
					octets += uint64(n)
					mpdu, ok := tr.Protect(spaced(frame))
					if !ok {
						t.Fatalf("%+v length %d: not sent", c, n)
					}
					if want := len(frame) + shortTag + ICVLen; len(mpdu) != want && (flags&2 == 0 || len(mpdu) != want+8) {
						t.Fatalf("%+v length %d: an MPDU of %d octets", c, n, len(mpdu))
					}
					for len(mpdu) < minFrame {
						mpdu = append(mpdu, 0xee)
					}
					if out, ok := rr.Validate(mpdu); !ok || !bytes.Equal(out, frame) {
						t.Fatalf("%+v length %d: %v, %x", c, n, ok, out)
					}
				}
				tr.Flush()
				rr.Flush()
				pkts := uint64(len(lengths))
				wantTx := counters.TxSC{OutPktsProtected: pkts, OutOctetsProtected: octets}
				wantRx := counters.RxSC{InPktsOK: pkts, InOctetsValidated: octets}
				if c.Encrypt {
					wantTx = counters.TxSC{OutPktsEncrypted: pkts, OutOctetsEncrypted: octets}
					wantRx = counters.RxSC{InPktsOK: pkts, InOctetsDecrypted: octets}
				}
				if d := cmp.Diff(wantTx, tx.Counters().TxSC) + cmp.Diff(wantRx, rx.Counters().RxSC); d != "" {
					t.Errorf("%+v: %s", c, d)
				}
			}
		}
	}
}

// TestSCIWhenNeeded: without SendSCI it is in the SecTAG while there is more
// than one peer.
func TestSCIWhenNeeded(t *testing.T) {
	tx, _ := pair(t, Config{Suite: sa.GCMAES128}, 1, 1)
	tr := tx.NewTransmitter()
	has := func(want bool) {
		t.Helper()
		mpdu, ok := tr.Protect(spaced(plain("", 60)))
		if !ok || TCI(mpdu[14]).Has(SC) != want {
			t.Errorf("MPDU %x, want an SCI: %v", mpdu, want)
		}
	}
	has(false)
	for i, want := range []bool{false, true, true} {
		must(t, tx.Apply(sa.Change{Kind: sa.InstallRx, SCI: sa.SCI{7: byte(i)}, SA: testSA(sa.GCMAES128, 1, 1)}))
		has(want)
	}
	for i, want := range []bool{true, false} {
		must(t, tx.Apply(sa.Change{Kind: sa.DeleteSC, SCI: sa.SCI{7: byte(i)}}))
		has(want)
	}
}

// TestNotSent has every reason why a frame does not leave, and its counter.
func TestNotSent(t *testing.T) {
	tx, _ := pair(t, Config{Suite: sa.GCMAES128, Parameters: Parameters{SendSCI: true, MaxMPDU: 132}}, 1, 1)
	tr := tx.NewTransmitter()
	want := Counters{}
	send := func(what string, buf []byte, sent bool) {
		t.Helper()
		before := bytes.Clone(buf)
		mpdu, ok := tr.Protect(buf)
		if ok != sent {
			t.Errorf("%s: %v, %x", what, ok, mpdu)
		}
		if !ok && !bytes.Equal(buf, before) {
			t.Errorf("%s: changed", what)
		}
	}
	send("100 octets", spaced(plain("", 88)), true)
	want.OutPktsProtected, want.OutOctetsProtected = 1, 88
	send("101 octets, over MaxMPDU", spaced(plain("", 89)), false)
	full := spaced(plain("", 60))
	send("no room for the ICV", full[:len(full):len(full)+ICVLen-1], false)
	want.OutPktsTooLong = 2
	for _, n := range []int{0, 11, 12, 28, 29} {
		send(fmt.Sprintf("a buffer of %d octets", n), make([]byte, n, 100), false)
	}
	must(t, tx.SetControlledPort(sa.Unsecured))
	send("unsecured", spaced(plain("", 60)), false)
	must(t, tx.SetControlledPort(sa.Secured))
	must(t, tx.Apply(sa.Change{Kind: sa.DeleteTx, SA: testSA(sa.GCMAES128, 1, 0)}))
	send("no encoding SA", spaced(plain("", 60)), false)
	last := testSA(sa.GCMAES128, 2, 1<<32-1)
	must(t, tx.Apply(sa.Change{Kind: sa.InstallTx, SA: last}))
	send("installed, not encoding", spaced(plain("", 60)), false)
	must(t, tx.Apply(sa.Change{Kind: sa.Encode, SA: last}))
	send("the last PN", spaced(plain("", 60)), true)
	want.OutPktsProtected, want.OutOctetsProtected = 2, 88+60
	send("after the last PN", spaced(plain("", 60)), false)
	send("after the last PN", spaced(plain("", 60)), false)
	want.OutPktsDropped = 10
	tr.Flush()
	// In JSON all are side by side: of two with one name neither would be.
	var names map[string]any
	text, err := json.Marshal(tx.Counters())
	must(t, err)
	must(t, json.Unmarshal(text, &names))
	if len(names) != 8+4+10+2+1 || names["out_pkts_dropped"] != 10. {
		t.Errorf("%d names in %s", len(names), text)
	}
	want.TxSAs, want.RxSCs = []counters.TxSA{{AN: 2, Key: keyID(2).String(), OutPktsProtected: 1}}, []counters.RxChannel{}
	if d := cmp.Diff(want, tx.Counters()); d != "" {
		t.Error(d)
	}
}

// TestPort has what passes in each of its states, both ways.
func TestPort(t *testing.T) {
	tx, rx := pair(t, Config{Suite: sa.GCMAES128, Should: true}, 1, 1)
	tr, rr := tx.NewTransmitter(), rx.NewReceiver()
	frame := plain(cTag, 60)
	mpdu := func() []byte {
		m, ok := tr.Protect(spaced(frame))
		if !ok {
			t.Fatal("not sent")
		}
		return m
	}
	for _, c := range []struct {
		port             sa.ControlledPort
		tagged, untagged bool
		in               func(*Counters) uint64
	}{
		{sa.Secured, true, false, func(c *Counters) uint64 { return c.InPktsNoTag }},
		{sa.Unsecured, true, false, func(c *Counters) uint64 { return c.InPktsNoTag }},
		{sa.Clear, true, true, func(c *Counters) uint64 { return c.InPktsUntagged }},
	} {
		was := rx.Counters()
		before := c.in(&was)
		must(t, rx.SetControlledPort(c.port))
		if out, ok := rr.Validate(mpdu()); ok != c.tagged || ok && !bytes.Equal(out, frame) {
			t.Errorf("%s: a protected frame: %v, %x", c.port, ok, out)
		}
		if out, ok := rr.Validate(bytes.Clone(frame)); ok != c.untagged || ok && !bytes.Equal(out, frame) {
			t.Errorf("%s: an untagged frame: %v, %x", c.port, ok, out)
		}
		rr.Flush()
		if got := rx.Counters(); c.in(&got)-before != 1 {
			t.Errorf("%s: counters %+v", c.port, got)
		}
	}
	must(t, tx.SetControlledPort(sa.Clear))
	if out, ok := tr.Protect(spaced(frame)); !ok || !bytes.Equal(out, frame) {
		t.Errorf("clear: sent %v, %x", ok, out)
	}
	if _, ok := tr.Protect(spaced(plain("", 1))); ok {
		t.Error("clear: sent without an EtherType")
	}
	tr.Flush()
	if got := tx.Counters(); got.OutPktsUntagged != 1 || got.OutPktsDropped != 1 {
		t.Errorf("clear: counters %+v", got)
	}
}
