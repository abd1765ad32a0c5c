package status

import (
	"strings"
	"testing"
	"time"
)

func TestHeldKeyIsAnAlarm(t *testing.T) {
	var b strings.Builder
	s := Status{Ports: []Port{{Name: "link1", State: Secured, Participants: []Participant{{CKN: "55", Principal: true, Held: true}}}}}
	if err := s.Write(&b, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "55, principal, HELD: ") {
		t.Errorf("%s", b.String())
	}
}
