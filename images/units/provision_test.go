package units

import (
	"regexp"
	"strings"
	"testing"
)

// What reads a stranger's medium may do what it needs, and both units the same.
func TestProvisionBounded(t *testing.T) {
	var first string
	for _, unit := range []string{"linkseal-provision.service", "linkseal-provision@.service"} {
		_, service, _ := strings.Cut(read(t, "systemd/system/"+unit), "\nUMask=")
		service, _, _ = strings.Cut(service, "\n[Install]")
		service = strings.TrimSpace(service)
		for _, must := range []string{"ProtectSystem=strict", "ReadWritePaths=/var /run /etc/linkseal /etc/systemd/network", "ProtectHome=yes", "NoNewPrivileges=yes", "SystemCallArchitectures=native"} {
			if !strings.Contains(service, "\n"+must+"\n") {
				t.Errorf("%s without %s", unit, must)
			}
		}
		for _, key := range []string{"CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter"} {
			if !regexp.MustCompile(`\n` + key + `=[A-Za-z@]`).MatchString(service) {
				t.Errorf("%s: %s allows all", unit, key)
			}
		}
		// sethostname, and namespaces for check.
		for _, never := range []string{"ProtectHostname", "RestrictNamespaces", "PrivateDevices", "PrivateNetwork"} {
			if strings.Contains(service, never) {
				t.Errorf("%s with %s, and cannot do its work", unit, never)
			}
		}
		if first == "" {
			first = service
		} else if first != service {
			t.Errorf("%s is bounded otherwise:\n%s\nand\n%s", unit, first, service)
		}
	}
}
