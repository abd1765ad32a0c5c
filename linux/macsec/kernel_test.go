package macsec

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// parent is a namespace with an Ethernet device that is up, and a Conn there.
func parent(t *testing.T) (c *Conn, index int, mac net.HardwareAddr) {
	t.Helper()
	_, c, index, mac = parentIn(t)
	return c, index, mac
}

func parentIn(t *testing.T) (ns *netns.NS, c *Conn, index int, mac net.HardwareAddr) {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.MACsec, probe.MACsecGCM, probe.MACsecXPN)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := ns.Do(func() error {
		if c, err = Dial(); err != nil {
			return err
		}
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "p0"}, PeerName: "p1"}); err != nil {
			return err
		}
		for _, name := range []string{"p0", "p1"} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetUp(l); err != nil {
				return err
			}
			if name == "p0" {
				index, mac = l.Attrs().Index, l.Attrs().HardwareAddr
			}
		}
		// Until the kernel has taken note of the carrier it drops what p0 sends.
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			l, err := netlink.LinkByName("p0")
			if err != nil || l.Attrs().OperState == netlink.OperUp {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("p0 is %s", l.Attrs().OperState)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return ns, c, index, mac
}

func create(t *testing.T, c *Conn, d Device) int {
	t.Helper()
	i, err := c.CreateDevice(d)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func get(t *testing.T, c *Conn, index int) SecY {
	t.Helper()
	s, err := c.Get(index)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKernelDevice(t *testing.T) {
	c, p, mac := parent(t)
	macSCI := func(port byte) (s SCI) { copy(s[:], mac); s[7] = port; return s }
	check, an, window := ValidateCheck, uint8(2), Replay{Protect: true, Window: 64}
	tests := []struct {
		name string
		dev  Device
		want SecY
	}{
		{"defaults", Device{},
			SecY{SCI: macSCI(1), CipherSuite: GCMAES128, ICVLen: 16, Operational: true, Protect: true, IncludeSCI: true, Validate: ValidateStrict}},
		{"gcm-aes-256, port", Device{CipherSuite: GCMAES256, Port: 9, Config: Config{Encrypt: &yes, Replay: &window}},
			SecY{SCI: macSCI(9), CipherSuite: GCMAES256, ICVLen: 16, Operational: true, Protect: true, IncludeSCI: true,
				Validate: ValidateStrict, Encrypt: true, ReplayProtect: true, ReplayWindow: 64}},
		{"xpn-128, SCI", Device{CipherSuite: GCMAESXPN128, SCI: &testSCI, Config: Config{EncodingSA: &an, Validate: &check}},
			SecY{SCI: testSCI, CipherSuite: GCMAESXPN128, ICVLen: 16, EncodingSA: 2, Protect: true, IncludeSCI: true, Validate: ValidateCheck}},
		{"xpn-256, short ICV, end station", Device{CipherSuite: GCMAESXPN256, ICVLen: 12, Config: Config{IncludeSCI: &no, ES: &yes, Protect: &no}},
			SecY{SCI: macSCI(1), CipherSuite: GCMAESXPN256, ICVLen: 12, Operational: true, ES: true, Validate: ValidateStrict}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.dev.Name, tt.dev.Parent = "macsec0", p
			i := create(t, c, tt.dev)
			tt.want.Ifindex = i
			if d := cmp.Diff(tt.want, get(t, c, i), cmpopts.IgnoreFields(SecY{}, "Stats")); d != "" {
				t.Error(d)
			}
			if _, err := c.CreateDevice(tt.dev); !errors.Is(err, unix.EEXIST) {
				t.Errorf("the same name again: %v", err)
			}
			again := tt.dev
			again.Name = "macsec1"
			if _, err := c.CreateDevice(again); !errors.Is(err, unix.EBUSY) {
				t.Errorf("the same SCI again: %v", err)
			}
			if err := c.DeleteDevice(i); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(i); !errors.Is(err, ErrNoDevice) {
				t.Errorf("after deletion: %v", err)
			}
		})
	}
	if err := c.DeleteDevice(p); !errors.Is(err, ErrNoDevice) {
		t.Errorf("deleted a device that is not MACsec: %v", err)
	}
}

func TestKernelChangeDevice(t *testing.T) {
	c, p, _ := parent(t)
	i := create(t, c, Device{Name: "macsec0", Parent: p, CipherSuite: GCMAES256})
	want := get(t, c, i)
	check, an := ValidateCheck, uint8(3)
	for _, tt := range []struct {
		change Config
		effect func()
	}{
		{Config{EncodingSA: &an}, func() { want.EncodingSA, want.Operational = 3, false }}, // no SA there
		{Config{Encrypt: &yes}, func() { want.Encrypt = true }},
		{Config{Protect: &no}, func() { want.Protect = false }},
		{Config{Protect: &yes, Validate: &check}, func() { want.Protect, want.Validate = true, ValidateCheck }},
		{Config{IncludeSCI: &no, ES: &yes}, func() { want.IncludeSCI, want.ES = false, true }},
		{Config{Replay: &Replay{Protect: true, Window: 7}}, func() { want.ReplayProtect, want.ReplayWindow = true, 7 }},
		{Config{Replay: &Replay{Protect: true}}, func() { want.ReplayWindow = 0 }},
		{Config{Replay: &Replay{}}, func() { want.ReplayProtect = false }},
		{Config{}, func() {}},
	} {
		if err := c.ChangeDevice(i, tt.change); err != nil {
			t.Fatal(err)
		}
		tt.effect()
		// The parent receives frames meanwhile.
		if d := cmp.Diff(want, get(t, c, i), cmpopts.IgnoreFields(SecY{}, "Stats")); d != "" {
			t.Errorf("%+v: %s", tt.change, d)
		}
	}
	if err := c.ChangeDevice(p, Config{Encrypt: &yes}); !errors.Is(err, unix.EOPNOTSUPP) || !strings.Contains(err.Error(), "macsec p0: change: ") {
		t.Errorf("changed a device that is not MACsec: %v", err)
	}
}

func TestKernelSAs(t *testing.T) {
	for _, suite := range []CipherSuite{GCMAES128, GCMAES256, GCMAESXPN128, GCMAESXPN256} {
		t.Run(suite.String(), func(t *testing.T) {
			c, p, _ := parent(t)
			i := create(t, c, Device{Name: "macsec0", Parent: p, CipherSuite: suite})
			sa := func(an uint8, pn uint64) NewSA {
				s := NewSA{AN: an, PN: pn, KeyID: testKeyID, Key: bytes.Clone(testKey), XPN: suite.XPN()}
				if suite == GCMAES256 || suite == GCMAESXPN256 {
					s.Key = append(s.Key, testKey...)
				}
				if s.XPN {
					s.SSCI, s.Salt = 0x01020304, [12]byte{1, 2, 3}
				}
				return s
			}
			pn := uint64(0xfffffffe)
			if suite.XPN() {
				pn = 0x1234_0000_0001
			}
			active := sa(3, pn)
			active.Active = true
			for what, err := range map[string]error{
				"tx 1": c.AddTxSA(i, sa(1, 1)),
				"tx 3": c.AddTxSA(i, active),
				"rxsc": c.AddRxSC(i, testSCI),
				"rx 2": c.AddRxSA(i, testSCI, sa(2, pn)),
				"rx 0": c.AddRxSA(i, testSCI, sa(0, 7)),
				"on":   c.SetRxSAActive(i, testSCI, 0, true),
			} {
				if err != nil {
					t.Fatal(what, err)
				}
			}
			ssci := sa(0, 1).SSCI
			s := get(t, c, i)
			if d := cmp.Diff([]TxSA{{AN: 1, PN: 1, KeyID: testKeyID, SSCI: ssci}, {AN: 3, Active: true, PN: pn, KeyID: testKeyID, SSCI: ssci}}, s.TxSA); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]RxSC{{SCI: testSCI, Active: true, SA: []RxSA{
				{AN: 0, Active: true, PN: 7, KeyID: testKeyID, SSCI: ssci}, {AN: 2, PN: pn, KeyID: testKeyID, SSCI: ssci}}}}, s.RxSC); d != "" {
				t.Error(d)
			}
			if s.EncodingSA != 0 {
				t.Errorf("adding an SA moved the encoding SA to %d", s.EncodingSA)
			}
			// An update leaves the PN alone.
			if err := errors.Join(c.SetTxSAActive(i, 3, false), c.SetTxSAActive(i, 3, true)); err != nil {
				t.Fatal(err)
			}
			if got := get(t, c, i).TxSA[1]; got.PN != pn || !got.Active {
				t.Errorf("after an update: %+v", got)
			}
			for what, want := range map[string]struct {
				err error
				is  unix.Errno
			}{
				"an in use, tx":    {c.AddTxSA(i, sa(3, 1)), unix.EBUSY},
				"an in use, rx":    {c.AddRxSA(i, testSCI, sa(2, 1)), unix.EBUSY},
				"sc again":         {c.AddRxSC(i, testSCI), unix.EEXIST},
				"absent sc":        {c.DeleteRxSC(i, SCI{1}), unix.ENODEV},
				"absent sa":        {c.DeleteTxSA(i, 0), unix.ENODEV},
				"absent device":    {c.DeleteTxSA(9999, 0), unix.ENODEV},
				"sa of absent sc":  {c.AddRxSA(i, SCI{1}, sa(0, 1)), unix.ENODEV},
				"not a MACsec dev": {c.AddTxSA(p, sa(0, 1)), unix.ENODEV},
			} {
				if !errors.Is(want.err, want.is) {
					t.Errorf("%s: %v, want %v", what, want.err, want.is)
				}
			}
			wrong := sa(2, 1)
			wrong.Key = wrong.Key[:16]
			if len(sa(2, 1).Key) == 16 {
				wrong.Key = append(wrong.Key, testKey...)
			}
			if err := c.AddTxSA(i, wrong); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "cipher suite") {
				t.Errorf("key of the wrong length: %v", err)
			}
			if err := errors.Join(c.DeleteTxSA(i, 3), c.DeleteRxSA(i, testSCI, 0)); err != nil {
				t.Fatal(err)
			}
			s = get(t, c, i)
			if len(s.TxSA) != 1 || len(s.RxSC[0].SA) != 1 {
				t.Errorf("after deletion: %+v", s)
			}
			// An SC goes with its SAs, active ones too.
			if err := errors.Join(c.SetRxSAActive(i, testSCI, 2, true), c.DeleteRxSC(i, testSCI)); err != nil {
				t.Fatal(err)
			}
			if s = get(t, c, i); len(s.RxSC) != 0 {
				t.Errorf("after deletion: %+v", s.RxSC)
			}
		})
	}
}

// TestKernelActiveAtEncodingAN is why a transmit SA is added inactive: the
// encoding AN is 0 on a new device.
func TestKernelActiveAtEncodingAN(t *testing.T) {
	c, p, _ := parent(t)
	an := uint8(1)
	i := create(t, c, Device{Name: "macsec0", Parent: p, Config: Config{EncodingSA: &an}})
	if get(t, c, i).Operational {
		t.Fatal("operational without an SA")
	}
	for _, active := range []bool{false, true} {
		if err := c.AddTxSA(i, NewSA{AN: 1, Active: active, PN: 1, Key: testKey}); err != nil {
			t.Fatal(err)
		}
		if got := get(t, c, i).Operational; got != active {
			t.Errorf("SA added at the encoding AN with active=%v: operational %v", active, got)
		}
		if err := c.DeleteTxSA(i, 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelList(t *testing.T) {
	c, p, _ := parent(t)
	want := map[int]bool{}
	for port := range uint16(40) { // more than fits in one message of a dump
		want[create(t, c, Device{Name: "m" + string(rune('A'+port)), Parent: p, Port: port + 1})] = true
	}
	all, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		delete(want, s.Ifindex)
	}
	if len(all) != 40 || len(want) != 0 {
		t.Errorf("%d listed, missing %v", len(all), want)
	}
}

// TestKernelOtherNamespace: a Conn stays in the namespace of its Dial.
func TestKernelOtherNamespace(t *testing.T) {
	c, p, _ := parent(t)
	i := create(t, c, Device{Name: "macsec0", Parent: p})
	other, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Get(i); !errors.Is(err, ErrNoDevice) {
		t.Errorf("seen from outside: %v", err)
	}
	if _, err := c.Get(i); err != nil {
		t.Error(err)
	}
}
