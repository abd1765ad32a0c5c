package macsec

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var (
	addSARemedies = map[unix.Errno]string{
		unix.EBUSY:  "the AN has an SA already: delete it first",
		unix.ENOENT: remedyGCM,
		unix.EINVAL: "the key's length, XPN or PN does not fit the device's cipher suite",
	}
	addSCRemedies = map[unix.Errno]string{
		unix.EEXIST: "a SecY on the same parent has a receive SC of this SCI already: delete it there first",
	}
	yes, no = true, false
)

// AddRxSC adds an active receive SC without SAs. EEXIST if a SecY on the same
// parent has one of that SCI.
func (c *Conn) AddRxSC(ifindex int, sci SCI) error {
	err := c.do(cmdAddRxSC, encodeRxSC(ifindex, sci, &yes))
	return c.fail(ifindex, fmt.Sprintf("add rx sc %s", sci), err, addSCRemedies)
}

// DeleteRxSC deletes a receive SC with its SAs. ENODEV if it is not there.
func (c *Conn) DeleteRxSC(ifindex int, sci SCI) error {
	err := c.do(cmdDelRxSC, encodeRxSC(ifindex, sci, nil))
	return c.fail(ifindex, fmt.Sprintf("delete rx sc %s", sci), err, nil)
}

// AddRxSA adds a receive SA to an SC. EBUSY if the AN is in use.
func (c *Conn) AddRxSA(ifindex int, sci SCI, sa NewSA) error {
	return c.addSA(cmdAddRxSA, ifindex, &sci, &sa)
}

// AddTxSA adds a transmit SA. EBUSY if the AN is in use.
//
// An active SA added at the encoding AN, which is 0 on a new device, transmits
// at once; elsewhere it changes nothing until EncodingSA names it.
func (c *Conn) AddTxSA(ifindex int, sa NewSA) error {
	return c.addSA(cmdAddTxSA, ifindex, nil, &sa)
}

func (c *Conn) addSA(cmd uint8, ifindex int, sci *SCI, sa *NewSA) error {
	err := sa.check()
	if err == nil {
		err = c.doSecret(cmd, encodeAddSA(ifindex, sci, sa))
	}
	return c.fail(ifindex, opSA("add", sci, sa.AN), err, addSARemedies)
}

// SetRxSAActive says whether frames are received on the SA.
func (c *Conn) SetRxSAActive(ifindex int, sci SCI, an uint8, active bool) error {
	return c.setActive(cmdUpdRxSA, ifindex, &sci, an, active)
}

// SetTxSAActive says whether the SA may transmit. An SA whose PN is 0 has used
// every nonce and must never be activated again: the kernel would, from PN 1.
func (c *Conn) SetTxSAActive(ifindex int, an uint8, active bool) error {
	return c.setActive(cmdUpdTxSA, ifindex, nil, an, active)
}

func (c *Conn) setActive(cmd uint8, ifindex int, sci *SCI, an uint8, active bool) error {
	verb := "deactivate"
	if active {
		verb = "activate"
	}
	return c.fail(ifindex, opSA(verb, sci, an), c.do(cmd, encodeSA(ifindex, sci, an, &active)), nil)
}

// DeleteRxSA deactivates a receive SA and deletes it. ENODEV if it is not
// there.
func (c *Conn) DeleteRxSA(ifindex int, sci SCI, an uint8) error {
	return c.deleteSA(cmdUpdRxSA, cmdDelRxSA, ifindex, &sci, an)
}

// DeleteTxSA deactivates a transmit SA and deletes it. ENODEV if it is not
// there. If it was encoding, frames are dropped from then on.
func (c *Conn) DeleteTxSA(ifindex int, an uint8) error {
	return c.deleteSA(cmdUpdTxSA, cmdDelTxSA, ifindex, nil, an)
}

// deleteSA makes two requests: the kernel deletes only what is inactive.
func (c *Conn) deleteSA(upd, del uint8, ifindex int, sci *SCI, an uint8) error {
	err := c.do(upd, encodeSA(ifindex, sci, an, &no))
	if err == nil {
		err = c.do(del, encodeSA(ifindex, sci, an, nil))
	}
	return c.fail(ifindex, opSA("delete", sci, an), err, nil)
}

func opSA(verb string, sci *SCI, an uint8) string {
	if sci == nil {
		return fmt.Sprintf("%s tx sa an %d", verb, an)
	}
	return fmt.Sprintf("%s rx sa an %d of sci %s", verb, an, *sci)
}
