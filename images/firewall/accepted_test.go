package firewall

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/netns"
)

// torn are files that a power cut or a hand leaves; none names a port.
var torn = []string{"", "version: 1\nports:\n\t- {name", "ports: [{device: eth1,", "\x00\x00\x00\x00"}

func unmanaged(t *testing.T, now Now, names ...string) {
	t.Helper()
	got := now.Owned.Networks()
	for _, name := range names {
		if !strings.Contains(got[NetworkPrefix+name+".network"], "Name="+escaped(name)+"\n\n[Link]\nUnmanaged=yes\n") {
			t.Errorf("networkd gets %s: %q", name, got[NetworkPrefix+name+".network"])
		}
	}
}

// A port of the last accepted configuration stays linkseal's, and down at boot,
// whatever the file has become.
func TestRefusedKeepsPorts(t *testing.T) {
	dir := t.TempDir()
	running := Accepted{filepath.Join(dir, "run", "accepted.yaml"), filepath.Join(dir, "var", "devices.json")}
	booted := Accepted{filepath.Join(dir, "other-run", "accepted.yaml"), running.Disk}
	c := parse(t, configurations["port"])
	if now, err := running.Now(c, nil); err != nil || now.Config != c || len(now.Down) > 0 {
		t.Fatalf("%+v, %v", now, err)
	}
	for range 2 {
		if err := running.Keep(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range torn {
		bad, refused := config.Parse("/etc/linkseal/linkseal.yaml", text)
		if refused == nil || len(bad.Ports) > 0 && bad.Ports[0].Device == "en*p0" {
			t.Fatalf("%q: %v", text, refused)
		}
		now, err := running.Now(bad, refused)
		if err == nil || !strings.Contains(err.Error(), refused.Error()) || now.Config == nil || len(now.Down) > 0 {
			t.Errorf("%q in a machine that runs: %+v, %v", text, now, err)
		} else if d := cmp.Diff(Rules(State{Config: c, SSH: true}), Rules(State{Config: now.Config, SSH: true})); d != "" {
			t.Errorf("%q takes rules of what runs away: %s", text, d)
		}
		unmanaged(t, now, "eth1", "en*p0", "macsec1")
		now, err = booted.Now(bad, refused)
		if want := []MTU{{"eth1", 1532}, {"en*p0", 9032}}; err == nil || now.Config != nil || !cmp.Equal(now.Down, want) {
			t.Errorf("%q at boot: %+v, %v", text, now, err)
		}
		unmanaged(t, now, "eth1", "en*p0", "macsec1")
	}
	// What can be read of the refused one is linkseal's too.
	bad, refused := config.Parse("/etc/linkseal/linkseal.yaml", strings.Replace(configurations["metrics"], "eth1", "eth7", 1)+"nonsense: 1\n")
	now, _ := booted.Now(bad, refused)
	unmanaged(t, now, "eth1", "eth7")
	// The names are all that the disk has.
	text, err := os.ReadFile(running.Disk)
	if err != nil || strings.Contains(string(text), "keychain") || strings.Contains(string(text), "192.0.2") {
		t.Errorf("%s, %v", text, err)
	}
	if err := running.Keep(nil); err != nil {
		t.Fatal(err)
	}
	// The file may be on its way: taken out, and the next one is mistyped.
	if now, err := running.Now(nil, nil); err != nil || len(now.Down) > 0 || len(now.Owned.Networks()) > 0 || now.Config != nil {
		t.Errorf("of a machine without a configuration: %+v, %v", now, err)
	}
	torn, refused := config.Parse("/etc/linkseal/linkseal.yaml", "{")
	now, err = running.Now(torn, refused)
	if len(now.Down) != 2 || now.Config != nil || err == nil {
		t.Errorf("of one with a torn file after none: %+v, %v", now, err)
	}
	unmanaged(t, now, "eth1")
}

// What is kept is broken: it is told, and no file is written by such a name.
func TestAcceptedBroken(t *testing.T) {
	dir := t.TempDir()
	a := Accepted{filepath.Join(dir, "accepted.yaml"), filepath.Join(dir, "devices.json")}
	bad, refused := config.Parse("f", "{")
	for _, text := range []string{"{", `{"ports":[{"device":"../../etc/x","octets":1}]}`, `{"made":["a b"]}`, `{"made":[".."]}`} {
		if err := os.WriteFile(a.Disk, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if now, err := a.Now(bad, refused); err == nil || !strings.Contains(err.Error(), "devices.json") || len(now.Owned.Networks()) > 0 {
			t.Errorf("%s: %+v, %v", text, now, err)
		}
	}
	// A port that is guarded is not taken down for that.
	if err := a.Keep(parse(t, configurations["port"])); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Boot, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	now, err := a.Now(bad, refused)
	if err == nil || !strings.Contains(err.Error(), "accepted.yaml") || len(now.Down) > 0 {
		t.Errorf("%+v, %v", now, err)
	}
	unmanaged(t, now, "eth1")
}

func TestLower(t *testing.T) {
	need(t)
	ns := namespace(t)
	run(t, ns, "ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
	run(t, ns, "ip", "link", "set", "eth1", "up")
	run(t, ns, "ip", "link", "set", "eth2", "up")
	if err := ns.Do(func() error { return Lower([]MTU{{"eth1", 1532}, {"none0", 1532}}) }); err != nil {
		t.Fatal(err)
	}
	if up := flags(t, ns, "eth1"); strings.Contains(up, ",UP,") {
		t.Errorf("eth1 is %s", up)
	}
	if up := flags(t, ns, "eth2"); !strings.Contains(up, ",UP,") {
		t.Errorf("eth2 is %s", up)
	}
}

func flags(t *testing.T, ns *netns.NS, device string) string {
	t.Helper()
	out, err := ns.Command("ip", "-o", "link", "show", "dev", device).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), "<")
	now, _, _ := strings.Cut(rest, ">")
	return "," + now + ","
}
