// Package xfrm reads what the kernel's IPsec counts, and which SAs and policies it
// has, and takes these away. It makes none: an IKE daemon does.
//
// The kernel tells an SA's keys with it. They are read into one buffer, which is
// zeroed, and taken out of it is only what is not secret.
package xfrm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SA is one of the kernel's, without its keys.
type SA struct {
	Src, Dst  netip.Addr
	SPI       uint32
	Proto     uint8 // 50: ESP
	Transport bool  // its mode is transport
	IfID      uint32
	ReqID     uint32
	Added     time.Time // to the second

	last   uint32   // the highest sequence number that came
	seen   []uint32 // of the last ones: window bits, a ring
	window uint32   // in packets
}

// Received tells whether the packet of this sequence number, with ESN its lower
// half, has come already, or came too late to be taken (RFC 4303, 3.4.3).
func (sa SA) Received(sequence uint32) bool {
	behind := sa.last - sequence
	switch {
	case int32(behind) < 0 || sa.window == 0:
		return false
	case behind >= sa.window:
		return true
	}
	// net/xfrm/xfrm_replay.c, xfrm_replay_check_bmp: bit (last-1) mod window is last's.
	bit := ((sa.last-1)%sa.window + sa.window - behind) % sa.window
	return sa.seen[bit/32]&(1<<(bit%32)) != 0
}

// The layout of struct xfrm_usersa_info (include/uapi/linux/xfrm.h), in octets:
// sel 56, id 24 (daddr 16, spi 4, proto 1), saddr 16, lft 64, curlft 32 (bytes,
// packets, add_time, use_time), stats 12, seq 4, reqid 4, family 2, mode 1,
// replay_window 1, flags 1, and padding. Of numbers only the SPI is big-endian.
const (
	atDst    = 56
	atSPI    = atDst + 16
	atProto  = atSPI + 4
	atSrc    = atDst + 24
	atAdded  = atSrc + 16 + 64 + 16
	atReqID  = atSrc + 16 + 64 + 32 + 12 + 4
	atFamily = atReqID + 4
	atMode   = atFamily + 2
	infoLen  = 224

	attrReplay    = 10 // XFRMA_REPLAY_VAL: struct xfrm_replay_state
	attrReplayESN = 23 // XFRMA_REPLAY_ESN_VAL: struct xfrm_replay_state_esn
	attrIfID      = 31 // XFRMA_IF_ID
	msgNewSA      = 16 // XFRM_MSG_NEWSA
	msgDelSA      = 17
	msgGetSA      = 18
	transport     = 0 // XFRM_MODE_TRANSPORT
)

// errShort is a message that ends too soon.
var errShort = errors.New("a message of xfrm is too short")

// SAs lists all SAs of the calling thread's network namespace.
func SAs() ([]SA, error) {
	fail := func(err error) ([]SA, error) { return nil, fmt.Errorf("list the kernel's SAs: %w", err) }
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_XFRM)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	// Silence is no answer, and must not be for ever.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return fail(err)
	}
	request := make([]byte, unix.NLMSG_HDRLEN)
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], msgGetSA)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(request[8:], 1)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fail(err)
	}
	b := make([]byte, 64<<10)
	defer clear(b)
	var all []SA
	for {
		n, from, err := unix.Recvfrom(fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not the kernel
		}
		sas, done, err := parseDump(b[:n])
		clear(b[:n])
		if err != nil {
			return fail(err)
		}
		if all = append(all, sas...); done {
			return all, nil
		}
	}
}

// parseDump takes apart what one read gave; done is the end of the dump.
func parseDump(b []byte) (sas []SA, done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return nil, false, errShort
		}
		body := b[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return sas, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return nil, false, errShort
			}
			return nil, false, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		case msgNewSA:
			sa, err := parseSA(body)
			if err != nil {
				return nil, false, err
			}
			sas = append(sas, sa)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return sas, false, nil
}

func parseSA(b []byte) (SA, error) {
	if len(b) < infoLen {
		return SA{}, errShort
	}
	family := binary.NativeEndian.Uint16(b[atFamily:])
	sa := SA{
		Src: address(b[atSrc:], family), Dst: address(b[atDst:], family),
		SPI: binary.BigEndian.Uint32(b[atSPI:]), Proto: b[atProto], Transport: b[atMode] == transport,
		ReqID: binary.NativeEndian.Uint32(b[atReqID:]),
		Added: time.Unix(int64(binary.NativeEndian.Uint64(b[atAdded:])), 0),
	}
	for b = b[infoLen:]; len(b) >= 4; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return SA{}, errShort
		}
		switch body := b[4:size]; binary.NativeEndian.Uint16(b[2:]) {
		case attrIfID:
			if len(body) >= 4 {
				sa.IfID = binary.NativeEndian.Uint32(body)
			}
		case attrReplay:
			sa.replay(body)
		case attrReplayESN:
			sa.replayESN(body)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return sa, nil
}

// replay is of struct xfrm_replay_state: oseq, seq, bitmap, of which bit n is that
// of the number n before seq.
func (sa *SA) replay(b []byte) {
	if len(b) < 12 {
		return
	}
	const window = 32
	sa.last, sa.window, sa.seen = binary.NativeEndian.Uint32(b[4:]), window, make([]uint32, 1)
	for n := range uint32(window) {
		if binary.NativeEndian.Uint32(b[8:])>>n&1 != 0 {
			sa.seen[0] |= 1 << (((sa.last-1)%window + window - n) % window)
		}
	}
}

// replayESN is of struct xfrm_replay_state_esn: bmp_len in words, oseq, seq,
// oseq_hi, seq_hi, replay_window in bits, and the words.
func (sa *SA) replayESN(b []byte) {
	const header = 24
	if len(b) < header {
		return
	}
	words, window := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[20:])
	if uint64(len(b)-header) < 4*uint64(words) || uint64(window) > 32*uint64(words) {
		return
	}
	sa.last, sa.window, sa.seen = binary.NativeEndian.Uint32(b[8:]), window, make([]uint32, words)
	for i := range sa.seen {
		sa.seen[i] = binary.NativeEndian.Uint32(b[header+4*i:])
	}
}

func address(b []byte, family uint16) netip.Addr {
	if family == unix.AF_INET6 {
		return netip.AddrFrom16([16]byte(b[:16]))
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

// Delete takes an SA away from the calling thread's network namespace. One that
// is not there is no error.
func Delete(sa SA) error {
	err := netlink.XfrmStateDel(&netlink.XfrmState{Src: sa.Src.AsSlice(), Dst: sa.Dst.AsSlice(), Proto: netlink.Proto(sa.Proto), Spi: int(sa.SPI), Ifid: int(sa.IfID)})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("delete the SA %08x to %s: %w", sa.SPI, sa.Dst, err)
	}
	return nil
}

// DeletePolicies takes away the policies of an XFRM interface's if_id, which is
// not 0, from the calling thread's network namespace.
func DeletePolicies(ifID uint32) error {
	all, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the kernel's policies: %w", err)
	}
	for _, p := range all {
		if uint32(p.Ifid) != ifID || ifID == 0 {
			continue
		}
		if e := netlink.XfrmPolicyDel(&p); e != nil && !errors.Is(e, unix.ENOENT) {
			err = errors.Join(err, fmt.Errorf("delete the policy %s to %s: %w", p.Src, p.Dst, e))
		}
	}
	return err
}
