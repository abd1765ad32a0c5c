package macsec

import (
	"errors"
	"fmt"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// dumpTries bounds how often a dump is begun again because devices came or
// went in the middle of it.
const dumpTries = 5

var errUnsettled = errors.New("devices come and go faster than a dump takes")

// List reports every SecY of the namespace.
func (c *Conn) List() ([]SecY, error) {
	var all []SecY
	err := c.dump(func(b []byte) error {
		s, err := decodeSecY(b)
		all = append(all, s)
		return err
	}, func() { all = all[:0] })
	if err != nil {
		return nil, newError("", "list", err, nil)
	}
	return all, nil
}

// Get reports the SecY of one device; ErrNoDevice if there is none. The kernel
// has but a dump of all, so that each call costs as much as List.
func (c *Conn) Get(ifindex int) (SecY, error) {
	var found *SecY
	err := c.dump(func(b []byte) error {
		if i, err := decodeIfindex(b); err != nil || i != ifindex {
			return err
		}
		s, err := decodeSecY(b)
		found = &s
		return err
	}, func() { found = nil })
	if err == nil && found == nil {
		err = ErrNoDevice
	}
	if err != nil {
		return SecY{}, c.fail(ifindex, "get", err, nil)
	}
	return *found, nil
}

// dump calls f for each message, and reset before it begins again.
func (c *Conn) dump(f func([]byte) error, reset func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range dumpTries {
		req, err := c.genl.Send(genetlink.Message{
			Header: genetlink.Header{Command: cmdGetTxSC, Version: familyVersion},
		}, c.family, netlink.Request|netlink.Dump)
		if err != nil {
			return err
		}
		msgs, raw, err := c.genl.Receive()
		if err != nil {
			return err
		}
		if err := netlink.Validate(req, raw); err != nil {
			return err
		}
		if interrupted(raw) {
			continue
		}
		reset()
		for _, m := range msgs {
			if err := f(m.Data); err != nil {
				return fmt.Errorf("the kernel's answer: %w", err)
			}
		}
		return nil
	}
	return errUnsettled
}

func interrupted(msgs []netlink.Message) bool {
	for _, m := range msgs {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return true
		}
	}
	return false
}

func decodeIfindex(b []byte) (index int, err error) {
	err = each(b, "secy", func(ad *netlink.AttributeDecoder) error {
		if ad.Type() == attrIfindex {
			index = int(ad.Uint32())
		}
		return nil
	})
	return index, err
}
