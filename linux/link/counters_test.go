package link

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestCounters(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	const sent = 7
	if err := ns.Do(func() error {
		h, err := Open()
		if err != nil {
			return err
		}
		defer h.Close()
		lo, err := h.ByName("lo")
		if err != nil {
			return err
		}
		if err := h.SetUp(lo.Index); err != nil {
			return err
		}
		to, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer to.Close()
		for range sent {
			if _, err := to.WriteTo([]byte("x"), to.LocalAddr()); err != nil {
				return err
			}
		}
		got, err := h.Counters("lo")
		if err != nil {
			return err
		}
		if got.RxPackets != sent || got.TxPackets != got.RxPackets || got.RxErrors+got.TxErrors+got.RxDropped+got.TxDropped != 0 {
			t.Errorf("%+v", got)
		}
		if _, err := h.Counters("none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestDecodeCounters(t *testing.T) {
	message := func(octets int) []byte {
		ae := mnl.NewAttributeEncoder()
		s := make([]byte, octets)
		for i := range octets / 8 {
			binary.NativeEndian.PutUint64(s[8*i:], uint64(i+1))
		}
		ae.String(unix.IFLA_IFNAME, "wg0")
		ae.Bytes(unix.IFLA_STATS64, s)
		b, err := ae.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return append(make([]byte, unix.SizeofIfInfomsg), b...)
	}
	want := Counters{RxPackets: 1, TxPackets: 2, RxErrors: 5, TxErrors: 6, RxDropped: 7, TxDropped: 8}
	for _, octets := range []int{64, 200} {
		if c, err := decodeCounters(message(octets)); err != nil || c != want {
			t.Errorf("of %d octets: %+v, %v", octets, c, err)
		}
	}
	whole := message(64)
	for n := range whole {
		if _, err := decodeCounters(whole[:n]); err == nil {
			t.Errorf("the first %d octets are accepted", n)
		}
	}
	if _, err := decodeCounters(message(56)); err == nil {
		t.Error("too few counters are accepted")
	}
}
