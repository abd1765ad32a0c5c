package macsec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/genetlink/genltest"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

const testFamily = 0x1c

// fake is a kernel: each request is noted as "command flags", the answer is
// the function's.
type fake struct {
	log    []string
	bodies [][]byte
	genl   func(cmd uint8) ([]genetlink.Message, error)
	rtnl   func(typ netlink.HeaderType) error
}

func (f *fake) dial(t *testing.T) *Conn {
	t.Helper()
	// genltest hides the netlink.Conn, so that the same is made of nltest.
	serve := genltest.ServeFamily(genetlink.Family{ID: testFamily, Name: familyName, Version: 1},
		func(g genetlink.Message, n netlink.Message) ([]genetlink.Message, error) {
			if n.Header.Type != testFamily || g.Header.Version != familyVersion {
				return nil, fmt.Errorf("family %d version %d", n.Header.Type, g.Header.Version)
			}
			f.log = append(f.log, fmt.Sprintf("genl %d %s", g.Header.Command, n.Header.Flags))
			f.bodies = append(f.bodies, g.Data)
			return f.genl(g.Header.Command)
		})
	nc := nltest.Dial(func(req []netlink.Message) ([]netlink.Message, error) {
		var g genetlink.Message
		if err := g.UnmarshalBinary(req[0].Data); err != nil {
			return nil, err
		}
		gmsgs, err := serve(g, req[0])
		var no unix.Errno
		if errors.As(err, &no) {
			return nltest.Error(int(no), req)
		}
		if err != nil {
			return nil, err
		}
		if gmsgs == nil {
			return nltest.Error(0, req)
		}
		out := []netlink.Message{}
		for _, m := range gmsgs {
			b, err := m.MarshalBinary()
			if err != nil {
				return nil, err
			}
			out = append(out, netlink.Message{Data: b, Header: netlink.Header{
				Type: testFamily, Sequence: req[0].Header.Sequence, PID: nltest.PID}})
		}
		out = append(out, netlink.Message{Data: make([]byte, 4), Header: netlink.Header{Sequence: req[0].Header.Sequence, PID: nltest.PID}})
		return nltest.Multipart(out)
	})
	rtnl := nltest.Dial(func(req []netlink.Message) ([]netlink.Message, error) {
		h := req[0].Header
		if h.Type == unix.RTM_GETLINK {
			b := appendAttr(ifInfo(7), unix.IFLA_IFNAME, []byte("macsec0\x00")...)
			return []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK, Sequence: h.Sequence, PID: nltest.PID}, Data: b}}, nil
		}
		f.log = append(f.log, fmt.Sprintf("rtnl %d %s", h.Type, h.Flags))
		f.bodies = append(f.bodies, req[0].Data)
		if err := f.rtnl(h.Type); err != nil {
			return nltest.Error(int(err.(unix.Errno)), req)
		}
		return nltest.Error(0, req)
	})
	c, err := newConn(nc, rtnl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ok(uint8) ([]genetlink.Message, error) { return nil, nil }

func refuse(no unix.Errno) func(uint8) ([]genetlink.Message, error) {
	return func(uint8) ([]genetlink.Message, error) { return nil, no }
}

func TestOperations(t *testing.T) {
	sa := func() NewSA { return NewSA{PN: 1, Key: bytes.Clone(testKey)} }
	const ack = "request|acknowledge"
	tests := []struct {
		name string
		op   func(*Conn) error
		log  []string
	}{
		{"add rx sc", func(c *Conn) error { return c.AddRxSC(7, testSCI) }, []string{"genl 1 " + ack}},
		{"delete rx sc", func(c *Conn) error { return c.DeleteRxSC(7, testSCI) }, []string{"genl 2 " + ack}},
		{"add tx sa", func(c *Conn) error { return c.AddTxSA(7, sa()) }, []string{"genl 4 " + ack}},
		{"add rx sa", func(c *Conn) error { return c.AddRxSA(7, testSCI, sa()) }, []string{"genl 7 " + ack}},
		{"activate tx sa", func(c *Conn) error { return c.SetTxSAActive(7, 1, true) }, []string{"genl 6 " + ack}},
		{"activate rx sa", func(c *Conn) error { return c.SetRxSAActive(7, testSCI, 1, true) }, []string{"genl 9 " + ack}},
		{"delete deactivates tx sa first", func(c *Conn) error { return c.DeleteTxSA(7, 1) }, []string{"genl 6 " + ack, "genl 5 " + ack}},
		{"delete deactivates rx sa first", func(c *Conn) error { return c.DeleteRxSA(7, testSCI, 1) }, []string{"genl 9 " + ack, "genl 8 " + ack}},
		{"change", func(c *Conn) error { return c.ChangeDevice(7, Config{Protect: &yes}) }, []string{"rtnl 16 " + ack}},
		{"create", func(c *Conn) error {
			i, err := c.CreateDevice(Device{Name: "macsec0", Parent: 3})
			if err == nil && i != 7 {
				return fmt.Errorf("ifindex %d", i)
			}
			return err
		}, []string{"rtnl 16 " + (netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl).String()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{genl: ok, rtnl: func(netlink.HeaderType) error { return nil }}
			if err := tt.op(f.dial(t)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.log, f.log); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestErrorsNameDeviceOperationRemedy(t *testing.T) {
	f := &fake{}
	c := f.dial(t)
	tests := []struct {
		genl, rtnl unix.Errno
		op         func() error
		want       string
	}{
		{unix.EBUSY, 0, func() error { return c.AddTxSA(7, NewSA{AN: 1, PN: 1, Key: testKey}) },
			"macsec macsec0: add tx sa an 1: device or resource busy; the AN has an SA already: delete it first"},
		{unix.ENOENT, 0, func() error { return c.AddRxSA(7, testSCI, NewSA{AN: 1, PN: 1, Key: testKey}) },
			"macsec macsec0: add rx sa an 1 of sci 0200000000011234: no such file or directory; " + remedyGCM},
		{unix.EEXIST, 0, func() error { return c.AddRxSC(7, testSCI) },
			"macsec macsec0: add rx sc 0200000000011234: file exists; a SecY on the same parent has a receive SC of this SCI already: delete it there first"},
		{unix.ENODEV, 0, func() error { return c.DeleteRxSC(7, testSCI) },
			"macsec macsec0: delete rx sc 0200000000011234: no such device; the device, SC or SA is not there"},
		{unix.EPERM, 0, func() error { return c.DeleteTxSA(7, 2) },
			"macsec macsec0: delete tx sa an 2: operation not permitted; it needs CAP_NET_ADMIN in the user namespace that owns the network namespace"},
		{0, unix.EOPNOTSUPP, func() error { _, err := c.CreateDevice(Device{Name: "macsec9", Parent: 3}); return err },
			"macsec macsec9: create on ifindex 3: operation not supported; " + remedyModule},
		{0, unix.EINVAL, func() error { return c.ChangeDevice(7, Config{}) }, "macsec macsec0: change: invalid argument"},
	}
	for _, tt := range tests {
		f.genl, f.rtnl = refuse(tt.genl), func(netlink.HeaderType) error { return tt.rtnl }
		err := tt.op()
		if err == nil || err.Error() != tt.want {
			t.Errorf("have %v\nwant %s", err, tt.want)
		}
		if no := max(tt.genl, tt.rtnl); !errors.Is(err, no) {
			t.Errorf("%v is not %v", err, no)
		}
	}
	if err := c.AddTxSA(7, NewSA{Key: testKey}); err == nil || strings.Contains(err.Error(), string(testKey)) {
		t.Errorf("refused before the kernel: %v", err)
	}
}

func TestNoFamily(t *testing.T) {
	nc := nltest.Dial(func(req []netlink.Message) ([]netlink.Message, error) { return nltest.Error(int(unix.ENOENT), req) })
	_, err := newConn(nc, nc)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "modprobe macsec") {
		t.Errorf("without the family: %v", err)
	}
}

func TestListAndGet(t *testing.T) {
	f := &fake{genl: func(uint8) ([]genetlink.Message, error) {
		return []genetlink.Message{{Data: dumpMessage(t, 6, false)}, {Data: dumpMessage(t, 7, true)}}, nil
	}}
	c := f.dial(t)
	all, err := c.List()
	if err != nil || len(all) != 2 || all[0].Ifindex != 6 || all[1].Ifindex != 7 {
		t.Errorf("List: %+v, %v", all, err)
	}
	got, err := c.Get(7)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantSecY(true), got); d != "" {
		t.Error(d)
	}
	if _, err := c.Get(8); !errors.Is(err, ErrNoDevice) {
		t.Errorf("Get of an absent device: %v", err)
	}
	if err := c.DeleteDevice(8); !errors.Is(err, ErrNoDevice) {
		t.Errorf("DeleteDevice of an absent device: %v", err)
	}
}

func TestKeyIsZeroed(t *testing.T) {
	f := &fake{genl: ok}
	c := f.dial(t)
	attrs := encodeAddSA(7, nil, &NewSA{PN: 1, Key: testKey})
	if err := c.doSecret(cmdAddTxSA, attrs); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(f.bodies[0], testKey) {
		t.Error("the key was not sent")
	}
	if bytes.Contains(attrs, testKey) {
		t.Error("the request still has the key")
	}
}

// TestSecretOnSocket sends by doSecret to the one family that every kernel
// has, nlctrl, and so through the path that has a socket.
func TestSecretOnSocket(t *testing.T) {
	nc, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{genl: genetlink.NewConn(nc), raw: raw, pid: nc.PID(), family: unix.GENL_ID_CTRL}
	if err := c.doSecret(200, appendU32(nil, 1, 1)); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("unknown command: %v, want EOPNOTSUPP", err)
	}
	// An answer that a failed request left over: same socket, another
	// sequence number.
	if _, err := c.genl.Send(genetlink.Message{Header: genetlink.Header{Command: 201}}, c.family, netlink.Request|netlink.Acknowledge); err != nil {
		t.Fatal(err)
	}
	get := appendAttr(nil, unix.CTRL_ATTR_FAMILY_NAME, []byte("nlctrl\x00")...)
	if err := c.doSecret(unix.CTRL_CMD_GETFAMILY, get); err != nil {
		t.Errorf("after a left-over error: %v", err)
	}
	if binary.NativeEndian.Uint64(get) != 0 {
		t.Error("the request is not zeroed")
	}
}
