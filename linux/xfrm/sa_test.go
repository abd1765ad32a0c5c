package xfrm

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func message(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, unix.NLMSG_HDRLEN-len(b))...)
	b = append(b, body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func info(src, dst string, spi uint32) []byte {
	b := make([]byte, infoLen)
	copy(b[atSrc:], netip.MustParseAddr(src).AsSlice())
	copy(b[atDst:], netip.MustParseAddr(dst).AsSlice())
	binary.BigEndian.PutUint32(b[atSPI:], spi)
	b[atProto], b[atMode] = 50, 1
	family := uint16(unix.AF_INET)
	if netip.MustParseAddr(src).Is6() {
		family = unix.AF_INET6
	}
	binary.NativeEndian.PutUint16(b[atFamily:], family)
	binary.NativeEndian.PutUint64(b[atAdded:], 1_800_000_000)
	binary.NativeEndian.PutUint32(b[atReqID:], 7)
	return b
}

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func TestParseDump(t *testing.T) {
	key := attribute(18, []byte("an AEAD key, of odd length"))
	first := append(append(info("10.0.0.4", "10.0.0.5", 0xc0d155e9), key...), attribute(attrIfID, binary.NativeEndian.AppendUint32(nil, 42))...)
	b := append(message(msgNewSA, first), message(msgNewSA, info("fd00::4", "fd00::5", 1))...)
	sas, done, err := parseDump(b)
	if err != nil || done || len(sas) != 2 {
		t.Fatalf("%+v, %v, %v", sas, done, err)
	}
	want := SA{Src: netip.MustParseAddr("10.0.0.4"), Dst: netip.MustParseAddr("10.0.0.5"), SPI: 0xc0d155e9, Proto: 50, IfID: 42, ReqID: 7, Added: time.Unix(1_800_000_000, 0)}
	if !reflect.DeepEqual(sas[0], want) || sas[1].Dst != netip.MustParseAddr("fd00::5") || sas[1].IfID != 0 {
		t.Errorf("%+v", sas)
	}
	if _, done, err := parseDump(append(b, message(unix.NLMSG_DONE, nil)...)); !done || err != nil {
		t.Errorf("the end: %v, %v", done, err)
	}
	if _, _, err := parseDump(message(unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, ^uint32(unix.EPERM)+1))); err != unix.EPERM {
		t.Errorf("an error: %v", err)
	}
	for n := range len(first) {
		parseDump(message(msgNewSA, first[:n]))
		parseDump(b[:n])
	}
	if _, _, err := parseDump(message(msgNewSA, first[:100])); err != errShort {
		t.Errorf("a short one: %v", err)
	}
}

// The windows as net/xfrm/xfrm_replay.c has them, against the set of what came.
func TestReceived(t *testing.T) {
	words := func(all ...uint32) (b []byte) {
		for _, w := range all {
			b = binary.NativeEndian.AppendUint32(b, w)
		}
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		const window = 96
		var last, bitmap uint32
		var ring [window / 32]uint32
		came := map[uint32]bool{}
		for _, step := range rapid.SliceOfN(rapid.IntRange(-120, 40), 1, 200).Draw(t, "steps") {
			n := int64(last) + int64(step)
			if n < 1 || came[uint32(n)] {
				continue
			}
			sequence := uint32(n)
			if sequence > last {
				if ahead := sequence - last; ahead < 32 {
					bitmap = bitmap<<ahead | 1
				} else {
					bitmap = 1
				}
				for i := range min(sequence-last, window) {
					bit := (sequence - 1 - i) % window
					ring[bit/32] &^= 1 << (bit % 32)
				}
				last = sequence
			} else if last-sequence < 32 {
				bitmap |= 1 << (last - sequence)
			}
			if last-sequence < window {
				bit := (sequence - 1) % window
				ring[bit/32] |= 1 << (bit % 32)
			}
			came[sequence] = true
		}
		var plain, esn SA
		plain.replay(words(0, last, bitmap))
		esn.replayESN(words(append([]uint32{window / 32, 0, last, 0, 0, window}, ring[:]...)...))
		for n := uint32(1); n <= last+40; n++ {
			for size, sa := range map[uint32]SA{32: plain, window: esn} {
				want := came[n] || n <= last && last-n >= size
				if got := sa.Received(n); last > 0 && got != want {
					t.Fatalf("window %d, last %d: %d received is %v; want %v", size, last, n, got, want)
				}
			}
		}
	})
	if (SA{}).Received(1) {
		t.Error("without a window all is new")
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add(message(msgNewSA, append(info("10.0.0.4", "10.0.0.5", 1), attribute(attrReplayESN, bytes.Repeat([]byte{3, 0, 0, 0}, 9))...)))
	f.Add(message(msgNewSA, append(info("10.0.0.4", "10.0.0.5", 1), attribute(attrIfID, []byte{1, 2, 3, 4})...)))
	f.Fuzz(func(t *testing.T, b []byte) { parseDump(b) })
}

// The kernel's SAs and policies are listed, and taken away by their if_id alone.
func TestKernel(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.XFRM)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error {
		src, dst := net.IPv4(10, 0, 0, 4), net.IPv4(10, 0, 0, 5)
		for i, id := range []int{0, 42} {
			if err := netlink.XfrmStateAdd(&netlink.XfrmState{
				Src: src, Dst: dst, Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL, Spi: 0x1000 + i, Reqid: 3, Ifid: id,
				Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: make([]byte, 36), ICVLen: 128},
			}); err != nil {
				return err
			}
			_, all, _ := net.ParseCIDR("0.0.0.0/0")
			if err := netlink.XfrmPolicyAdd(&netlink.XfrmPolicy{
				Src: all, Dst: all, Dir: netlink.XFRM_DIR_OUT, Ifid: id,
				Tmpls: []netlink.XfrmPolicyTmpl{{Src: src, Dst: dst, Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL, Reqid: 3}},
			}); err != nil {
				return err
			}
		}
		sas, err := SAs()
		if err != nil {
			return err
		}
		if len(sas) != 2 {
			t.Fatalf("%+v", sas)
		}
		for _, sa := range sas {
			if want := uint32(0x1000); sa.SPI != want && sa.SPI != want+1 || (sa.IfID == 42) != (sa.SPI == want+1) || sa.Dst != netip.MustParseAddr("10.0.0.5") || sa.Transport || sa.ReqID != 3 {
				t.Errorf("%+v", sa)
			}
			if time.Since(sa.Added).Abs() > time.Minute {
				t.Errorf("added at %v", sa.Added)
			}
			for range 2 {
				if err := Delete(sa); err != nil {
					return err
				}
			}
		}
		for range 2 {
			if err := DeletePolicies(42); err != nil {
				return err
			}
		}
		left, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
		if len(left) != 1 || left[0].Ifid != 0 {
			t.Errorf("policies: %v", left)
		}
		sas, e := SAs()
		if len(sas) != 0 || e != nil {
			t.Errorf("SAs: %+v, %v", sas, e)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
