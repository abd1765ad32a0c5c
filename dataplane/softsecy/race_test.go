package softsecy

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestTransmittersRace has several goroutines send through changes of key and
// parameters: every frame is whole, that is, authentic under one key, and no
// key protects two with one PN.
func TestTransmittersRace(t *testing.T) {
	const (
		suite   = sa.GCMAESXPN128
		workers = 4
		frames  = 3000 // of each
		every   = 200  // frames of one, a change of key
		keys    = workers*frames/every + 1
	)
	tx := newSecY(t, Config{SCI: west, Suite: suite, Parameters: Parameters{Encrypt: true}})
	must(t, tx.SetControlledPort(sa.Secured))
	change := func(kind sa.ChangeKind, kn uint32) {
		// The PNs cross 2^32 under way.
		must(t, tx.Apply(sa.Change{Kind: kind, SA: testSA(suite, kn, 1<<32-100)}))
	}
	change(sa.InstallTx, 1)
	change(sa.Encode, 1)
	var out [workers][][]byte
	due := make(chan struct{})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			tr := tx.NewTransmitter()
			frame := plain("", 60+w)
			for i := range frames {
				if i%every == 0 {
					due <- struct{}{}
				}
				mpdu, ok := tr.Protect(spaced(frame))
				if !ok {
					t.Error("not sent")
					continue
				}
				out[w] = append(out[w], mpdu)
				if i%16 == 0 {
					tr.Flush()
				}
			}
			tr.Flush()
		})
	}
	for kn := uint32(1); kn < keys; kn++ {
		<-due
		tx.SetParameters(Parameters{Encrypt: kn%2 == 0, SendSCI: kn%3 == 0})
		change(sa.InstallTx, kn+1)
		change(sa.Encode, kn+1)
		change(sa.DeleteTx, kn)
	}
	wg.Wait()

	// One receiver a key.
	var rx [keys + 1]*Receiver
	for kn := uint32(1); kn <= keys; kn++ {
		s := newSecY(t, Config{SCI: east, Suite: suite})
		must(t, s.SetControlledPort(sa.Secured))
		must(t, s.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: testSA(suite, kn, 1<<32-100)}))
		rx[kn] = s.NewReceiver()
	}
	type nonce struct{ kn, low uint32 } // a key has fewer than 2^32 frames here
	seen := map[nonce]bool{}
	for w := range out {
		for _, mpdu := range out[w] {
			var tag SecTAG
			tag, _, err := ParseSecTAG(mpdu[addresses:])
			must(t, err)
			found := false
			for kn := uint32(tag.AN); kn <= keys && !found; kn += 4 {
				if kn == 0 {
					continue
				}
				got, ok := rx[kn].Validate(bytes.Clone(mpdu))
				if !ok {
					continue
				}
				found = true
				if !bytes.Equal(got, plain("", 60+w)) {
					t.Fatalf("key %d PN %#x: another frame", kn, tag.PN)
				}
				if n := (nonce{kn, tag.PN}); seen[n] {
					t.Fatalf("key %d PN %#x twice", kn, tag.PN)
				} else {
					seen[n] = true
				}
			}
			if !found {
				t.Fatalf("%v validates under no key", &tag)
			}
		}
	}
	if c := tx.Counters(); c.OutPktsProtected+c.OutPktsEncrypted != workers*frames {
		t.Errorf("%d protected and %d encrypted of %d", c.OutPktsProtected, c.OutPktsEncrypted, workers*frames)
	}
	t.Logf("%d frames of %d goroutines under %d keys", workers*frames, workers, keys)
}

// TestReceiversRace gives every frame to several goroutines at once, while SAs
// and parameters change: with a window of 0 each is delivered once at most, and
// what is counted adds up.
func TestReceiversRace(t *testing.T) {
	const (
		suite   = sa.GCMAES128
		workers = 4
		frames  = 3000
	)
	tx, rx := pair(t, Config{Suite: suite, Parameters: Parameters{Encrypt: true, SendSCI: true, ReplayWindow: new(uint32)}}, 1, 1)
	tr := tx.NewTransmitter()
	var sent [frames][]byte
	for i := range sent {
		sent[i], _ = tr.Protect(spaced(plain("", 60)))
	}
	var delivered [frames]atomic.Int32
	var wg, changes sync.WaitGroup
	done := make(chan struct{})
	changes.Go(func() {
		for kn := uint32(2); ; kn++ {
			select {
			case <-done:
				return
			default:
			}
			a := testSA(suite, kn, 1)
			if a.AN == 1 {
				continue
			}
			if rx.Apply(sa.Change{Kind: sa.InstallRx, SCI: west, SA: a}) != nil || rx.Apply(sa.Change{Kind: sa.DeleteRx, SCI: west, SA: a}) != nil ||
				rx.Apply(sa.Change{Kind: sa.InstallRx, SCI: east, SA: a}) != nil || rx.Apply(sa.Change{Kind: sa.DeleteSC, SCI: east}) != nil {
				t.Error("a change failed")
			}
			rx.SetParameters(Parameters{ReplayWindow: new(uint32)})
			rx.Counters()
		}
	})
	for range workers {
		wg.Go(func() {
			r := rx.NewReceiver()
			for i, m := range sent {
				if _, ok := r.Validate(bytes.Clone(m)); ok {
					delivered[i].Add(1)
				}
				if i%32 == 0 {
					r.Flush()
				}
			}
			r.Flush()
		})
	}
	wg.Wait()
	close(done)
	changes.Wait()
	total := uint64(0)
	for i := range delivered {
		n := delivered[i].Load()
		if n > 1 {
			t.Fatalf("frame %d delivered %d times", i, n)
		}
		total += uint64(n)
	}
	c := rx.Counters()
	if delivered[frames-1].Load() != 1 || c.InPktsOK != total || c.InPktsOK+c.InPktsLate != workers*frames {
		t.Errorf("%d delivered, counters %+v", total, c.RxSC)
	}
}
