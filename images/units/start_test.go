package units

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/provision/store"
)

// An appliance that is provisioned has its link encrypted as soon as its disk and its
// filter are there: no unit of the image is between them and the daemon.
func TestNothingBeforeLinkseal(t *testing.T) {
	before := regexp.MustCompile(`(?m)^Before=(.*)$`)
	for _, path := range found(t, rootfs+"/systemd/system/*.*") {
		unit := filepath.Base(path)
		for _, m := range before.FindAllStringSubmatch(read(t, "systemd/system/"+unit), -1) {
			if slices.Contains(strings.Fields(m[1]), "linkseal.service") {
				t.Errorf("linkseal.service waits for %s", unit)
			}
		}
	}
	after := regexp.MustCompile(`(?m)^After=(.*)$`)
	for _, path := range found(t, rootfs+"/systemd/system/linkseal.service.d/*.conf") {
		for _, m := range after.FindAllStringSubmatch(read(t, "systemd/system/linkseal.service.d/"+filepath.Base(path)), -1) {
			if m[1] != "nftables.service" {
				t.Errorf("%s: linkseal.service waits for %s", path, m[1])
			}
		}
	}
}

// What is half installed is no configuration.
func TestCommitFirst(t *testing.T) {
	const commit = "\nConditionPathExists=!" + store.Base + "/commit/record.json\n"
	if text := read(t, "systemd/system/linkseal.service.d/20-provision.conf"); !strings.Contains(text, commit) {
		t.Errorf("it waits for no commit:\n%s\nwant%s", text, commit)
	}
}
