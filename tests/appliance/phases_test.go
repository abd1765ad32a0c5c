package appliance

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/linkseal/linkseal/tests/appliance/qemu"
)

// phases prints what the start took, and demands that nothing in it waits for the
// network to be online.
func (p *pair) phases() {
	west := p.hosts[0]
	var took string
	west.await("the end of the boot", patience, func(ctx context.Context) (err error) {
		took, err = west.Run(ctx, "systemd-analyze time")
		return err
	})
	took, _, _ = strings.Cut(took, "\n")
	fmt.Printf("figure: first boot, emulated: %s\n", took)
	west.start("first boot")

	for _, unit := range []string{"network-online.target", "systemd-networkd-wait-online.service", "ifupdown-wait-online.service", "NetworkManager-wait-online.service"} {
		if state := strings.TrimSpace(west.run("systemctl show --value -p ActiveState " + unit)); state != "inactive" {
			p.t.Errorf("%s is %s: something waits for the network to be online", unit, state)
		}
	}
	if wants := strings.TrimSpace(west.run("systemctl show --value -p WantedBy -p RequiredBy network-online.target")); wants != "" {
		p.t.Errorf("network-online.target is wanted by %s", wants)
	}
	west.noneFailed()
}

// start prints when, after the kernel's start, what the link waits for was there, and
// returns how long after its device the daemon started; less than 0: before it.
func (h *host) start(boot string) time.Duration {
	h.t.Helper()
	micros := func(command string) time.Duration {
		text := strings.TrimSpace(h.run(command))
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n == 0 {
			h.t.Fatalf("%s: %q", command, text)
		}
		return time.Duration(n) * time.Microsecond
	}
	show := func(unit, property string) time.Duration {
		return micros("systemctl show --value -p " + property + " " + unit)
	}
	since := h.secured().Ports[0].SecuredSince
	if since == nil {
		h.t.Fatal("link1 is secured since never")
	}
	var up, now float64
	if _, err := fmt.Sscan(h.run("cut -d' ' -f1 /proc/uptime; date +%s.%N"), &up, &now); err != nil {
		h.t.Fatal(err)
	}
	secured := time.Duration((up - now + float64(since.UnixNano())/1e9) * 1e9)
	device := micros("udevadm info -q property /sys/class/net/" + qemu.CircuitDevice + " | sed -n s/^USEC_INITIALIZED=//p")
	disks := show("local-fs.target", "ActiveEnterTimestampMonotonic")
	provisioned := show("linkseal-provision.service", "InactiveEnterTimestampMonotonic")
	started := show("linkseal.service", "ExecMainStartTimestampMonotonic")
	ready := show("linkseal.service", "ActiveEnterTimestampMonotonic")
	fmt.Printf("figure: after the kernel's start (%s, emulated): device %.1f s, file systems %.1f s, provisioned %.1f s, linkseal started %.1f s, ready %.1f s, link secured %.1f s\n",
		boot, device.Seconds(), disks.Seconds(), provisioned.Seconds(), started.Seconds(), ready.Seconds(), secured.Seconds())
	return started - max(device, disks)
}

var exposure = regexp.MustCompile(`Overall exposure level for linkseal\.service: ([0-9.]+)`)

// hardened demands that systemd finds little that the daemon may do.
func (p *pair) hardened() {
	said := p.hosts[0].run("systemd-analyze security --no-pager linkseal.service")
	m := exposure.FindStringSubmatch(said)
	if m == nil {
		p.t.Fatalf("systemd-analyze security says\n%s", said)
	}
	fmt.Printf("figure: systemd-analyze security linkseal, in the image: %s\n", m[1])
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.0 {
		p.t.Errorf("exposure %s, want 2.0 at the most:\n%s", m[1], said)
	}
}

// secureBoot demands that the firmware enforces, and that the root is the verified
// one and cannot be written.
func (p *pair) secureBoot() {
	for _, h := range p.hosts {
		if state := strings.Fields(h.run("od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")); len(state) == 0 || state[len(state)-1] != "1" {
			p.t.Errorf("%s: Secure Boot is %v, want on", h.Name, state)
		}
		if state := strings.Fields(h.run("od -An -tu1 /sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c")); len(state) == 0 || state[len(state)-1] != "0" {
			p.t.Errorf("%s: the firmware is in setup mode: %v", h.Name, state)
		}
		if root := h.run("findmnt -no SOURCE,FSTYPE,OPTIONS / || grep ' / ' /proc/self/mounts"); !strings.Contains(root, "erofs") || !strings.Contains(root, "ro") {
			p.t.Errorf("%s: the root is %s, want a read-only erofs", h.Name, root)
		}
		h.refused("touch /usr/written")
		if says := h.run("cat /proc/cmdline"); !strings.Contains(says, "module.sig_enforce=1") {
			p.t.Errorf("%s: the kernel takes unsigned modules: %s", h.Name, says)
		}
	}
}
