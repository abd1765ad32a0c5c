package plan

import (
	"fmt"
	"strings"
)

func (m MACsec) equal(o MACsec) bool { return m.difference(o) == "" }

// difference lists the parameters that a change from m to o changes.
func (m MACsec) difference(o MACsec) string {
	var d []string
	note := func(name string, from, to any) {
		if from != to {
			d = append(d, fmt.Sprintf("%s %v -> %v", name, from, to))
		}
	}
	note("cipher", m.Suite, o.Suite)
	note("sci", m.SCI, o.SCI)
	note("send_sci", m.SendSCI, o.SendSCI)
	note("encrypt", m.Encrypt, o.Encrypt)
	note("replay window", window(m.ReplayWindow), window(o.ReplayWindow))
	note("protect", m.Protect, o.Protect)
	note("validate", m.Validate, o.Validate)
	return strings.Join(d, ", ")
}

func window(w *uint32) string {
	if w == nil {
		return "off"
	}
	return fmt.Sprint(*w)
}
