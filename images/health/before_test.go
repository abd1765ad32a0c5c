package health_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/health"
)

// Where one of linkseal's units has failed already no update is installed: it would
// fail there too, and the machine fall back after three boots. Others' are noted.
func TestBeforeFailed(t *testing.T) {
	m := machine(t, &status.Status{})
	for failed, refused := range map[string]string{
		"linkseal-firewall.service":         "linkseal-firewall.service failed",
		"linkseal-provision@sdb.service":    "linkseal-provision@sdb.service failed",
		"linkseal.service linkseal-x.mount": "linkseal.service, linkseal-x.mount failed",
		"dbus.service linkseal.service":     "units linkseal.service failed",
		"dbus.service":                      "",
		health.Self:                         "",
	} {
		m.Systemctl = units(strings.ReplaceAll(failed, " ", " loaded failed failed X\n")+" loaded failed failed Y\n", "")
		r, err := m.Before(t.Context())
		switch {
		case refused == "" && (err != nil || slices.Contains(r.Failed, failed) == (failed == health.Self)):
			t.Errorf("%s: %+v, %v", failed, r, err)
		case refused != "" && (err == nil || !strings.Contains(err.Error(), refused) || !strings.Contains(err.Error(), "systemctl --failed")):
			t.Errorf("%s: %v; want %q", failed, err, refused)
		}
	}
}
