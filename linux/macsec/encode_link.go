package macsec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Device is a MACsec device to be created. Offload is always off.
type Device struct {
	Name   string // 1 to 15 octets
	Parent int    // ifindex of the Ethernet device under it
	// SCI is the device's own; nil makes it of its MAC address and Port.
	SCI *SCI
	// Port is the SCI's port identifier if SCI is nil; 0 means 1.
	Port        uint16
	CipherSuite CipherSuite // 0: gcm-aes-128
	ICVLen      uint8       // octets, 8 to 16; 0 means 16
	Config
}

// Config is what can change on a live device. Nil leaves a setting as it is,
// or on a new device at the kernel's default, which is given here.
type Config struct {
	EncodingSA *uint8      // 0
	Encrypt    *bool       // false
	Protect    *bool       // true; false sends frames in clear
	IncludeSCI *bool       // true
	ES         *bool       // false; excludes IncludeSCI and SCB
	SCB        *bool       // false; excludes IncludeSCI and ES
	Validate   *Validation // strict
	Replay     *Replay     // no protection
}

// Replay is replayProtect and replayWindow (802.1AE-2018 10.7.8).
type Replay struct {
	Protect bool
	Window  uint32 // packets; 0 is strict order. At most 2^30-1 with XPN
}

const kind = "macsec"

// ifInfo is struct ifinfomsg, host byte order, with the index alone.
func ifInfo(index int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg, 256)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	return b
}

func encodeNewDevice(d *Device) []byte {
	b := ifInfo(0)
	b = appendAttr(b, unix.IFLA_IFNAME, append([]byte(d.Name), 0)...)
	b = appendU32(b, unix.IFLA_LINK, uint32(d.Parent))
	return appendLinkInfo(b, func(b []byte) []byte {
		switch {
		case d.SCI != nil:
			b = appendAttr(b, unix.IFLA_MACSEC_SCI, d.SCI[:]...)
		case d.Port != 0:
			var port [2]byte
			binary.BigEndian.PutUint16(port[:], d.Port)
			b = appendAttr(b, unix.IFLA_MACSEC_PORT, port[:]...)
		}
		if d.CipherSuite != 0 {
			b = appendU64(b, unix.IFLA_MACSEC_CIPHER_SUITE, uint64(d.CipherSuite))
		}
		if d.ICVLen != 0 {
			b = appendU8(b, unix.IFLA_MACSEC_ICV_LEN, d.ICVLen)
		}
		b = appendU8(b, unix.IFLA_MACSEC_OFFLOAD, uint8(OffloadOff))
		return appendConfig(b, &d.Config)
	})
}

func encodeChange(ifindex int, c *Config) []byte {
	return appendLinkInfo(ifInfo(ifindex), func(b []byte) []byte { return appendConfig(b, c) })
}

func appendLinkInfo(b []byte, data func([]byte) []byte) []byte {
	return appendNested(b, unix.IFLA_LINKINFO, func(b []byte) []byte {
		b = appendAttr(b, unix.IFLA_INFO_KIND, []byte(kind)...)
		return appendNested(b, unix.IFLA_INFO_DATA, data)
	})
}

func appendConfig(b []byte, c *Config) []byte {
	if c.EncodingSA != nil {
		b = appendU8(b, unix.IFLA_MACSEC_ENCODING_SA, *c.EncodingSA)
	}
	for _, f := range []struct {
		typ uint16
		v   *bool
	}{
		{unix.IFLA_MACSEC_ENCRYPT, c.Encrypt},
		{unix.IFLA_MACSEC_PROTECT, c.Protect},
		{unix.IFLA_MACSEC_INC_SCI, c.IncludeSCI},
		{unix.IFLA_MACSEC_ES, c.ES},
		{unix.IFLA_MACSEC_SCB, c.SCB},
	} {
		if f.v != nil {
			b = appendBool(b, f.typ, *f.v)
		}
	}
	if c.Validate != nil {
		b = appendU8(b, unix.IFLA_MACSEC_VALIDATION, uint8(*c.Validate))
	}
	if c.Replay != nil {
		// The kernel wants the window wherever protection goes on.
		b = appendU32(b, unix.IFLA_MACSEC_WINDOW, c.Replay.Window)
		b = appendBool(b, unix.IFLA_MACSEC_REPLAY_PROTECT, c.Replay.Protect)
	}
	return b
}

const maxXPNWindow = 1<<30 - 1

func (d *Device) check() error {
	switch {
	case d.Name == "" || len(d.Name) >= unix.IFNAMSIZ:
		return fmt.Errorf("name %q: not 1 to %d octets", d.Name, unix.IFNAMSIZ-1)
	case d.Parent <= 0:
		return errors.New("no parent device")
	case d.ICVLen != 0 && (d.ICVLen < 8 || d.ICVLen > 16):
		return fmt.Errorf("ICV of %d octets: not 8 to 16", d.ICVLen)
	case d.CipherSuite.XPN() && d.Replay != nil && d.Replay.Window > maxXPNWindow:
		return fmt.Errorf("replay window %d: at most %d with XPN", d.Replay.Window, maxXPNWindow)
	case d.SCI != nil && d.IncludeSCI != nil && !*d.IncludeSCI:
		return errors.New("an explicit SCI needs include SCI: without it the peer takes port 1 of the MAC address")
	}
	return d.Config.check()
}

func (c *Config) check() error {
	on := func(b *bool) bool { return b != nil && *b }
	switch {
	case c.EncodingSA != nil && *c.EncodingSA >= NumAN:
		return fmt.Errorf("encoding SA %d: not 0 to 3", *c.EncodingSA)
	case c.Validate != nil && *c.Validate > ValidateStrict:
		return fmt.Errorf("%s: not disabled, check or strict", *c.Validate)
	case on(c.IncludeSCI) && (on(c.ES) || on(c.SCB)), on(c.ES) && on(c.SCB):
		return errors.New("include SCI, ES and SCB exclude each other")
	}
	return nil
}
