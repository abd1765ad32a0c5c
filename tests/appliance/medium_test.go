package appliance

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/tests/appliance/qemu"
)

// A stick whose configuration is wrong is refused, and the console says where and
// what; one that is right, put in while the machine runs, provisions it.
func TestStick(t *testing.T) {
	i := theImage(t)
	good := sites(t, i.public)[0]
	wrong := sites(t, i.public)[1]
	const path = "/etc/linkseal/linkseal.yaml"
	wrong.files[path] = strings.Replace(wrong.files[path], "gcm-aes-xpn-256", "gcm-aes-512", 1)
	_, err := config.Parse(path, wrong.files[path])
	if err == nil {
		t.Fatal("the wrong configuration passes")
	}
	position, _, _ := strings.Cut(err.Error(), ": ") // FILE:LINE:COL
	if !regexp.MustCompile(`:\d+:\d+$`).MatchString(position) {
		t.Fatalf("%v: no FILE:LINE:COL", err)
	}

	h := i.host(t, "stick", qemu.Medium{Path: i.stick(t, wrong), USB: true})
	h.on()
	line, _ := h.says(patience, regexp.QuoteMeta(position))
	fmt.Printf("figure: a stick with a wrong configuration: the console says %q\n", line.Text)
	mark := h.Console().Mark()
	check(t, h.Insert(i.stick(t, good)))
	// The console tells of the link, and the key lets us in.
	h.saysFrom(mark, patience, "link1")
	if got := h.run("cat " + path); got != good.files[path] {
		t.Errorf("%s is\n%s", path, got)
	}
	if modes := strings.Fields(h.run("stat -c %a /etc/linkseal /etc/linkseal/linkseal.yaml /etc/linkseal/keys/link1.yaml /etc/linkseal/wg.key /var/etc/ssh/authorized_keys")); strings.Join(modes, " ") != "700 600 600 600 600" {
		t.Errorf("modes of what was provisioned: %v", modes)
	}
	if state := strings.TrimSpace(h.run("systemctl is-active linkseal.service")); state != "active" {
		t.Errorf("linkseal.service is %s", state)
	}
}

// Without a key for it SSH is off: nothing answers a stranger at all, before
// provisioning and after it.
func TestSSHOff(t *testing.T) {
	i := theImage(t)
	s := sites(t, "")[0]
	own, far := cable(t, i.trial, "off-stranger")
	plug, err := far.Plug()
	check(t, err)
	defer plug.Close()
	h := i.host(t, "off", i.cloud(t, s))
	h.Cables = append(h.Cables, own)
	h.on()
	h.says(patience, "link1")
	ctx, cancel := within(t, 10*time.Minute)
	defer cancel()
	found, err := stranger(plug).Ask(ctx, netip.MustParseAddr(strangerNetwork+"1"), 10*time.Second)
	check(t, err)
	fmt.Printf("figure: with no SSH key provisioned, of 65535 TCP and UDP ports a stranger has an answer of: open %v, refused %v, UDP %v\n", found.Open, found.Refused, found.UDP)
	if !found.Pinged {
		t.Error("it answered no echo: that it is silent shows nothing")
	}
	if len(found.Open)+len(found.Refused)+len(found.UDP)+found.Unreachable > 0 {
		t.Errorf("a stranger found %+v; want silence", *found)
	}
}
