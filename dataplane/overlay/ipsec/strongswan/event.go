package strongswan

import (
	"strconv"

	"github.com/strongswan/govici/vici"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/diagnose"
)

// LogLine is an event "log".
func LogLine(m *vici.Message) diagnose.Line {
	f := fields{m: m}
	return diagnose.Line{SA: uint32(f.number("ikesa-uniqueid", 10)), Name: f.text("ikesa-name"), Group: f.text("group"), Text: f.text("msg")}
}

// Rekeyed is an event "ike-rekey" or "child-rekey": of which connection, and of
// an IKE_SA its old and its new number.
func Rekeyed(m *vici.Message) (connection string, old, now uint32) {
	number := func(s *vici.Message, key string) uint32 {
		below, _ := s.Get(key).(*vici.Message)
		if below == nil {
			return 0
		}
		text, _ := below.Get("uniqueid").(string)
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	for _, name := range m.Keys() {
		if s, ok := m.Get(name).(*vici.Message); ok {
			return name, number(s, "old"), number(s, "new")
		}
	}
	return "", 0, 0
}
