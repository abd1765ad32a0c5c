package kay

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka"
)

// What was counted long ago is not why nothing comes now.
func TestReasonOfSilence(t *testing.T) {
	const life = 6 * time.Second
	st := mka.State{Participants: []mka.ParticipantState{{CKN: []byte{1}}}}
	st.Counters.Received, st.Counters.UnknownCKN, st.Counters.LastUnknownCKN = 9, 1, []byte{2}
	for _, c := range []struct {
		name       string
		now, heard time.Duration
		want       string
	}{
		{"a peer that died", time.Hour, time.Hour - 6*time.Second, "no MKPDU received for 6s, after there were some"},
		{"one that speaks under another CKN", time.Hour, time.Hour - 2*time.Second, "under CKN 02, which is not in the keychain"},
	} {
		if got := reason(&st, c.now, life, c.heard, ""); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := reason(&mka.State{Participants: st.Participants}, time.Hour, life, 0, ""); !strings.HasPrefix(got, "no MKPDU received: ") {
		t.Errorf("nothing ever: %q", got)
	}
}
