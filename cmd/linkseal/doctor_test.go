package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/linux/probe"
)

// answers speaks for a machine that lacks what is listed.
func answers(lacks ...probe.Feature) func(probe.Feature) probe.Result {
	return func(f probe.Feature) probe.Result {
		for _, l := range lacks {
			if f == l {
				return probe.Result{Detail: "no " + f.ID(), Remedy: "get " + f.ID()}
			}
		}
		return probe.Result{OK: true, Detail: "has " + f.ID()}
	}
}

func TestExamineRequirements(t *testing.T) {
	egress := requirement{[]probe.Feature{probe.TCX, probe.Clsact}, "must-secure"}
	xpn := requirement{[]probe.Feature{probe.MACsecXPN}, "port link1"}
	for _, c := range []struct {
		name  string
		lacks []probe.Feature
		want  string
	}{
		{"all there", nil, ""},
		{"one of two will do", []probe.Feature{probe.TCX}, ""},
		{"neither of two", []probe.Feature{probe.TCX, probe.Clsact}, "tcx or clsact, cls_bpf (for must-secure)"},
		{"suite", []probe.Feature{probe.MACsecXPN}, "MACsec XPN (for port link1)"},
		{"not required", []probe.Feature{probe.WireGuard, probe.TPM}, ""},
	} {
		x := examine(answers(c.lacks...), []requirement{egress, xpn})
		if got := strings.Join(x.Missing, ", "); got != c.want {
			t.Errorf("%s: missing %q; want %q", c.name, got, c.want)
		}
	}
}

// Of several that will do, one is required only where no other is there.
func TestRequiredOfAlternatives(t *testing.T) {
	egress := requirement{[]probe.Feature{probe.TCX, probe.Clsact}, "must-secure"}
	for _, c := range []struct {
		lacks []probe.Feature
		want  string
	}{
		{nil, ""},
		{[]probe.Feature{probe.TCX}, "clsact"},
		{[]probe.Feature{probe.Clsact}, "tcx"},
		{[]probe.Feature{probe.TCX, probe.Clsact}, "clsact tcx"},
	} {
		var got []string
		for _, f := range examine(answers(c.lacks...), []requirement{egress}).Features {
			if f.Required {
				got = append(got, f.ID)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("without %v: %q are required, want %q", c.lacks, got, c.want)
		}
	}
}

func TestRequirements(t *testing.T) {
	must, should := config.DefaultPort(), config.DefaultPort()
	must.Name, must.Must, must.Cipher, must.Dataplane = "link1", true, "gcm-aes-xpn-256", config.Kernel
	should.Name, should.Must, should.Cipher, should.Dataplane = "link2", false, "gcm-aes-128", config.Kernel
	auto, user := must, must
	auto.Name, auto.Dataplane = "link3", config.Auto
	user.Name, user.Dataplane = "link4", config.Userspace
	tagged := should
	tagged.Tags = []config.TagRule{}
	for _, c := range []struct {
		name  string
		port  config.Port
		lacks []probe.Feature
		want  string
	}{
		{"must, all there", must, nil, ""},
		{"must, no XPN", must, []probe.Feature{probe.MACsecXPN}, "MACsec XPN (for cipher gcm-aes-xpn-256 of port link1)"},
		{"must, no BPF", must, []probe.Feature{probe.BPF}, "BPF programs (for secure: must of port link1)"},
		{"must, no XDP, clsact", must, []probe.Feature{probe.XDPNative, probe.XDPGeneric, probe.TCX}, ""},
		{"must, no hook in tc", must, []probe.Feature{probe.TCX, probe.Clsact}, "tcx or clsact, cls_bpf (for secure: must of port link1)"},
		{"auto, no XPN", auto, []probe.Feature{probe.MACsecXPN}, ""},
		{"auto, no XPN nor tap", auto, []probe.Feature{probe.MACsecXPN, probe.Tap}, "MACsec XPN or tap queues (for port link3)"},
		{"auto, no MACsec", auto, []probe.Feature{probe.MACsec, probe.MACsecGCM, probe.MACsecXPN}, ""},
		{"auto, no MACsec nor tap", auto, []probe.Feature{probe.MACsec, probe.MACsecGCM, probe.MACsecXPN, probe.Tap}, "MACsec gcm(aes) or tap queues (for port link3)"},
		{"userspace, no MACsec", user, []probe.Feature{probe.MACsec, probe.MACsecGCM, probe.MACsecXPN, probe.AFXDP}, ""},
		{"userspace, no tap", user, []probe.Feature{probe.Tap}, "tap queues (for dataplane userspace of port link4)"},
		{"userspace, no packet sockets", user, []probe.Feature{probe.AFPacket}, "AF_PACKET (for port link4)"},
		{"should, no XPN nor BPF", should, []probe.Feature{probe.MACsecXPN, probe.BPF}, ""},
		{"should, tags, clsact", tagged, []probe.Feature{probe.TCX}, ""},
		{"should, tags, no hook", tagged, []probe.Feature{probe.TCX, probe.Clsact}, "tcx or clsact, cls_bpf (for tags of port link2)"},
		{"should, no MACsec", should, []probe.Feature{probe.MACsec}, "MACsec (for port link2)"},
	} {
		check := answers(c.lacks...)
		x := examine(check, requirements(&config.Config{Ports: []config.Port{c.port}}, reconcile.Capabilities(check)))
		if got := strings.Join(x.Missing, ", "); got != c.want {
			t.Errorf("%s: missing %q; want %q", c.name, got, c.want)
		}
	}
}

func TestChooseAuto(t *testing.T) {
	for _, c := range []struct {
		lacks         []probe.Feature
		takes, reason string
	}{
		{nil, "kernel", "the kernel has MACsec with every suite"},
		{[]probe.Feature{probe.MACsecXPN}, "kernel", "the kernel has MACsec; userspace for the XPN suites: the kernel's MACsec has no gcm-aes-xpn-256 (no macsec_xpn)"},
		{[]probe.Feature{probe.MACsecXPN, probe.Tap}, "kernel", "the kernel has MACsec; the XPN suites are nowhere: the kernel's MACsec has no gcm-aes-xpn-256 (no macsec_xpn)"},
		{[]probe.Feature{probe.MACsec, probe.MACsecGCM}, "userspace", "the kernel has no MACsec (no macsec)"},
		{[]probe.Feature{probe.MACsecGCM}, "userspace", "the kernel has no MACsec (no macsec_gcm)"},
		{[]probe.Feature{probe.MACsec, probe.Tap}, "", "neither, the kernel has no MACsec (no macsec), and there is no tap device (no tap); a kernel with CONFIG_MACSEC; or a kernel with CONFIG_TUN and its /dev/net/tun"},
	} {
		got := examine(answers(c.lacks...), nil).Auto
		if got.Takes != c.takes || got.Reason != c.reason {
			t.Errorf("without %v: %+v; want %q, %q", c.lacks, got, c.takes, c.reason)
		}
	}
}

func TestExaminationText(t *testing.T) {
	var b strings.Builder
	x := examine(answers(probe.MACsec), []requirement{{[]probe.Feature{probe.MACsec}, "port link1"}})
	if err := x.write(&b, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"missing  MACsec                   no macsec; get macsec (required)\n",
		"ok       MACsec XPN               has macsec_xpn\n",
		"note     NIC MACsec offload       refused for now",
		"note     PACKET_QDISC_BYPASS      tc egress does not see",
		"ok       tap queues               has tap\n",
		"note     dataplane: auto          userspace: the kernel has no MACsec (no macsec)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// The verb, on whatever machine this is.
func TestDoctorVerb(t *testing.T) {
	run := func(args ...string) (string, error) {
		var b strings.Builder
		c := root()
		c.SetOut(&b)
		c.SetArgs(append([]string{"doctor"}, args...))
		err := c.Execute()
		return b.String(), err
	}
	out, err := run("--json")
	if err != nil {
		t.Fatal(err)
	}
	var x examination
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(x.Features) != len(probe.All()) || x.Kernel == "" || len(x.Limits) == 0 {
		t.Errorf("%d features, kernel %q, %d limits", len(x.Features), x.Kernel, len(x.Limits))
	}
	if _, err := run("--need", "warp_drive"); err == nil || !strings.Contains(err.Error(), "no such feature; there are netns, ") {
		t.Errorf("--need of an unknown feature: %v", err)
	}
}
