package kay_test

import (
	"bytes"
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/keymgmt/kay"
	"github.com/linkseal/linkseal/keymgmt/kay/kaytest"
	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Whoever limits EAPOL is told of CKNs and peers as they come, change and go,
// and of nothing before there are keys.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire kaytest.Wire
		var mu sync.Mutex
		var last []mka.Member
		calls := 0
		var secy kaytest.SecY
		var store kaytest.Store
		k, err := kay.Start(kay.Config{Port: "link1", MKA: mka.Config{
			SCI: sa.NewSCI([6]byte{2, 0, 0, 0, 0, 1}, 1), Priority: 16, Hello: mka.DefaultHello, Life: mka.DefaultLife,
			Suite: sa.GCMAESXPN256, Encrypt: true, Destination: mkpdu.GroupAddress, EtherType: mkpdu.EtherType, Rand: rand.Reader,
		}, Members: func(m []mka.Member) {
			mu.Lock()
			defer mu.Unlock()
			last = m
			calls++
		}}, wire.Join(), &secy, &store)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		told := func(after time.Duration) []mka.Member {
			time.Sleep(after)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return last
		}
		if told(time.Second); calls != 0 {
			t.Errorf("told %d times before there are keys", calls)
		}
		k.SetKeys([]mka.Key{key(1, 7), key(2, 8)})
		if m := told(0); len(m) != 2 || !bytes.Equal(m[0].CKN, []byte{1}) || len(m[0].Peers)+len(m[1].Peers) != 0 {
			t.Fatalf("with two keys %+v", m)
		}
		var b station
		b.start(t, 2, wire.Join(), key(1, 7))
		m := told(time.Second)
		if len(m[0].Peers) != 1 || m[0].Peers[0].Source != [6]byte{2, 0, 0, 0, 0, 2} || m[0].Peers[0].MI == (sa.MI{}) || len(m[1].Peers) != 0 {
			t.Fatalf("with a peer %+v", m)
		}
		first := m[0].Peers[0].MI
		mu.Lock()
		steady := calls
		mu.Unlock()
		if told(20 * time.Second); calls != steady {
			t.Errorf("told %d times more of nothing new", calls-steady)
		}
		b.kay.Close()
		b.start(t, 2, wire.Join(), key(1, 7))
		if m := told(time.Second); len(m[0].Peers) != 1 || m[0].Peers[0].MI == first {
			t.Errorf("after its restart, from MI %v: %+v", first, m)
		}
		b.kay.Close()
		if m := told(2 * mka.DefaultLife); len(m[0].Peers) != 0 {
			t.Errorf("after its end %+v", m)
		}
		k.SetKeys([]mka.Key{key(2, 8)})
		if m := told(time.Second); len(m) != 1 || !bytes.Equal(m[0].CKN, []byte{2}) {
			t.Errorf("with one key %+v", m)
		}
	})
}
