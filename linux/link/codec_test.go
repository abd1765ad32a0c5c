package link

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// message is an RTM_NEWLINK as the kernel sends it.
func message(t testing.TB, family byte, flags uint32) []byte {
	t.Helper()
	b, err := info{index: 7, flags: flags}.encode(func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, "macsec0")
		ae.Uint32(unix.IFLA_LINK, 3)
		ae.Uint32(unix.IFLA_MASTER, 9)
		ae.Uint32(unix.IFLA_MTU, 1468)
		ae.Bytes(unix.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 1})
		ae.Uint8(unix.IFLA_OPERSTATE, 5)
		ae.Uint8(unix.IFLA_LINKMODE, 1)
		ae.Nested(unix.IFLA_LINKINFO, func(ae *netlink.AttributeEncoder) error {
			ae.String(unix.IFLA_INFO_KIND, "macsec")
			ae.Bytes(unix.IFLA_INFO_DATA, []byte("anything"))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	b[0] = family
	return b
}

func TestDecodeLink(t *testing.T) {
	want := Link{Index: 7, Name: "macsec0", Kind: "macsec", Parent: 3, Master: 9, MTU: 1468,
		MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, OperState: OperDormant, Mode: ModeDormant}
	for _, f := range []struct {
		flags       uint32
		up, carrier bool
	}{{0, false, false}, {unix.IFF_UP, true, false}, {unix.IFF_UP | unix.IFF_LOWER_UP, true, true}} {
		got, ok, err := decodeLink(message(t, unix.AF_UNSPEC, f.flags))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		want.Up, want.Carrier = f.up, f.carrier
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if _, ok, err := decodeLink(message(t, unix.AF_BRIDGE, 0)); ok || err != nil {
		t.Errorf("a bridge port's message: %v, %v", ok, err)
	}
	for _, b := range [][]byte{nil, make([]byte, 15), append(make([]byte, 16), 1, 2, 3)} {
		if _, ok, err := decodeLink(b); ok || err == nil {
			t.Errorf("%x: %v, %v", b, ok, err)
		}
	}
}

// A tap is a tun device whose data says so, and nothing else is.
func TestDecodeTap(t *testing.T) {
	for _, c := range []struct {
		kind string
		typ  uint8
		want bool
	}{{"tun", unix.IFF_TAP, true}, {"tun", unix.IFF_TUN, false}, {"macsec", unix.IFF_TAP, false}} {
		b, err := info{index: 7}.encode(func(ae *netlink.AttributeEncoder) {
			ae.Nested(unix.IFLA_LINKINFO, func(ae *netlink.AttributeEncoder) error {
				ae.String(unix.IFLA_INFO_KIND, c.kind)
				ae.Nested(unix.IFLA_INFO_DATA, func(ae *netlink.AttributeEncoder) error {
					ae.Uint32(1, 0) // IFLA_TUN_OWNER
					ae.Uint8(iflaTunType, c.typ)
					return nil
				})
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if l, ok, err := decodeLink(b); !ok || err != nil || l.Kind != c.kind || l.Tap != c.want {
			t.Errorf("%s of type %d: %+v, %v, %v", c.kind, c.typ, l, ok, err)
		}
	}
}

func TestDecodeVRF(t *testing.T) {
	for kind, want := range map[string]uint32{"vrf": 77, "bridge": 0} {
		b, err := info{index: 7}.encode(func(ae *netlink.AttributeEncoder) {
			ae.Nested(unix.IFLA_LINKINFO, func(ae *netlink.AttributeEncoder) error {
				ae.String(unix.IFLA_INFO_KIND, kind)
				ae.Nested(unix.IFLA_INFO_DATA, func(ae *netlink.AttributeEncoder) error {
					ae.Uint32(iflaVRFTable, 77)
					return nil
				})
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if l, ok, err := decodeLink(b); !ok || err != nil || l.Table != want {
			t.Errorf("%s: %+v, %v, %v", kind, l, ok, err)
		}
	}
}

func FuzzDecodeLink(f *testing.F) {
	f.Add(message(f, 0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok, err := decodeLink(b); err != nil && (ok || l.Kind == "\x00") {
			t.Errorf("%+v, %v, %v", l, ok, err)
		}
	})
}

func TestEncodeInfo(t *testing.T) {
	b, err := info{index: 7, flags: 1, change: 1}.encode(func(ae *netlink.AttributeEncoder) { ae.Uint8(17, 1) })
	if err != nil {
		t.Fatal(err)
	}
	// struct ifinfomsg: family, pad, type, index, flags, change.
	if want := "0000" + "0000" + "07000000" + "01000000" + "01000000" + "0500110001000000"; hex.EncodeToString(b) != want {
		t.Errorf("%x, want %s", b, want)
	}
}

func TestPump(t *testing.T) {
	replies := []struct {
		msgs []netlink.Message
		err  error
	}{
		{msgs: []netlink.Message{
			{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: message(t, 0, unix.IFF_UP)},
			{Header: netlink.Header{Type: unix.RTM_DELLINK}, Data: message(t, unix.AF_BRIDGE, 0)},
			{Header: netlink.Header{Type: unix.RTM_NEWADDR}, Data: message(t, unix.AF_INET, 0)},
			{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: message(t, unix.AF_INET6, 0)},
			{Header: netlink.Header{Type: unix.RTM_DELQDISC}, Data: message(t, 0, 0)},
			{Header: netlink.Header{Type: unix.RTM_DELTFILTER}, Data: []byte("short")},
			{Header: netlink.Header{Type: unix.RTM_NEWROUTE}, Data: message(t, 0, 0)},
			{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: []byte("short")},
		}},
		{err: os.NewSyscallError("recvmsg", unix.ENOBUFS)},
		{msgs: []netlink.Message{{Header: netlink.Header{Type: unix.RTM_DELLINK}, Data: message(t, 0, 0)}}},
		{err: net.ErrClosed},
	}
	events := make(chan Event, 10)
	pump(t.Context(), func() ([]netlink.Message, error) {
		r := replies[0]
		replies = replies[1:]
		return r.msgs, r.err
	}, events)
	close(events)
	var got []string
	for e := range events {
		switch {
		case e.Lost:
			got = append(got, "lost")
		case e.Around:
			got = append(got, fmt.Sprint("around ", e.Link.Index))
		case e.Deleted:
			got = append(got, "deleted "+e.Link.Name)
		default:
			got = append(got, "changed "+e.Link.Name)
		}
	}
	if want := "changed macsec0, around 7, around 7, around 7, lost, deleted macsec0"; strings.Join(got, ", ") != want {
		t.Errorf("events %q, want %q", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Nobody reads: the end of ctx must still end it.
	pump(ctx, func() ([]netlink.Message, error) {
		return []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK}, Data: message(t, 0, 0)}}, nil
	}, make(chan Event))
}
