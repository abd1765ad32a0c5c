package deb

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// write writes a file below dir.
func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	noIPsec = "ports: []\ntunnels:\n  - type: wireguard\n"
	isIPsec = "tunnels:\n  - name: hub\n    type: ipsec\n"
)

// TestMayRun: strongSwan's own service starts wherever linkseal has no IPsec, and
// nowhere else.
func TestMayRun(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		may  bool
	}{
		"no tunnels":                {"ports: []\n", true},
		"WireGuard":                 {noIPsec, true},
		"IPsec":                     {isIPsec, false},
		"a comment after it":        {"tunnels:\n  - type: ipsec # to the hub\n", false},
		"the name first":            {"tunnels:\n  - type : 'ipsec'\n", false},
		"in braces":                 {"tunnels: [{name: hub, type: \"ipsec\"}]\n", false},
		"in braces, first and last": {"tunnels: [{type: ipsec}]\n", false},
		"a quoted key":              {"tunnels:\n  - \"type\": ipsec\n", false},
		"as JSON":                   {`{"tunnels":[{"name":"hub","type":"ipsec"}]}`, false},
		"on two lines":              {"tunnels:\n  - type:\n      ipsec\n", false},
		"after a # in a name":       {"tunnels: [{name: 'a#b', type: ipsec}]\n", false},
		"commented out":             {"# type: ipsec\ntunnels: [] # no type: ipsec\n", true},
		"another key":               {"keychains:\n  subtype: ipsec\n", true},
		"another value":             {"tunnels:\n  - type: ipsec2\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command("./strongswan-may-run", write(t, t.TempDir(), "linkseal.yaml", c.text, 0o600)).CombinedOutput()
			if (err == nil) != c.may || (len(out) > 0) == c.may {
				t.Errorf("%v, %q; want it to start: %v", err, out, c.may)
			}
		})
	}
	if out, err := exec.Command("./strongswan-may-run", filepath.Join(t.TempDir(), "none")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("without a configuration: %v, %q; want it to start", err, out)
	}
}

// TestGiveWay: an installation ends strongSwan's service only if that says itself that it
// has nothing, and linkseal has IPsec.
func TestGiveWay(t *testing.T) {
	const running = `[ "$3" = strongswan.service ]`
	for name, c := range map[string]struct {
		config, active, swanctl string
		stopped, told           bool
	}{
		"no configuration":        {"", running, "", false, false},
		"no IPsec in it":          {noIPsec, running, "", false, false},
		"nothing to do":           {isIPsec, running, "", true, false},
		"it does not run":         {isIPsec, "false", "", false, false},
		"connections, over vici":  {isIPsec, running, `[ "$1" = --list-sas ] || echo "gw: IKEv2, no reauthentication"`, false, true},
		"an SA":                   {isIPsec, running, `[ "$1" = --list-conns ] || echo "gw: #1, ESTABLISHED, IKEv2"`, false, true},
		"it cannot be asked":      {isIPsec, running, "exit 2", false, true},
		"its SAs cannot be asked": {isIPsec, running, `[ "$1" = --list-conns ]`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "systemctl", "#!/bin/sh\n"+c.active+"\n", 0o755)
			write(t, dir, "swanctl", "#!/bin/sh\n"+c.swanctl+"\n", 0o755)
			write(t, dir, "deb-systemd-invoke", "#!/bin/sh\necho \"$@\" >> "+dir+"/stopped\n", 0o755)
			config := filepath.Join(dir, "linkseal.yaml")
			if c.config != "" {
				write(t, dir, "linkseal.yaml", c.config, 0o600)
			}
			cmd := exec.Command("./strongswan-give-way", config, "./strongswan-may-run")
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			did, _ := os.ReadFile(filepath.Join(dir, "stopped"))
			if want := strings.Repeat("stop strongswan.service\n", map[bool]int{true: 1}[c.stopped]); err != nil || string(did) != want || (len(out) > 0) != c.told {
				t.Errorf("%v, it did %q and said %q; want stopped: %v, told: %v", err, did, out, c.stopped, c.told)
			}
		})
	}
}
