package reconcile

import (
	"errors"
	"fmt"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/macsec"
	"github.com/linkseal/linkseal/linux/tap"
)

// Apply carries out one step. To remove what is gone already is success.
func (k *Kernel) Apply(s plan.Step) error {
	if handled, err := k.applyTunnel(s); handled {
		return err
	}
	switch s.Kind {
	case plan.SetFilter, plan.CountFrames:
		return k.attach(s)
	case plan.CreateDevice:
		if s.Dataplane == plan.Userspace {
			return k.createTap(s)
		}
		return k.create(s)
	case plan.RemoveFilter:
		l, err := k.links.ByName(s.Device)
		if err == nil {
			err = k.ns.Do(func() error { return errors.Join(bpf.Detach(l.Index), bpf.Unguard(l.Index)) })
		}
		return unlessGone(err)
	}
	l, err := k.links.ByName(s.Link)
	switch {
	case err != nil:
	case s.Kind == plan.RemoveAddress:
		err = k.links.DeleteAddress(l.Index, s.Address)
	case s.Kind == plan.AddAddress && s.NoPrefixRoute:
		return k.links.ReplaceAddressAlone(l.Index, s.Address)
	case s.Kind == plan.AddAddress:
		return k.links.ReplaceAddress(l.Index, s.Address)
	case s.Kind == plan.DisableIPv6:
		return k.links.DisableIPv6(l.Index)
	case s.Kind == plan.EnableIPv6:
		return unlessGone(k.links.EnableIPv6(l.Index))
	case s.Kind == plan.SetMAC:
		return k.links.SetMAC(l.Index, s.MAC[:])
	case s.Kind == plan.SetMTU:
		return k.links.SetMTU(l.Index, s.MTU)
	case s.Kind == plan.SetTags:
		return k.setTags(l.Index, s.Tags)
	case s.Kind == plan.RemoveTags:
		err = k.ns.Do(func() error { return bpf.DetachTags(l.Index) })
	case s.Kind == plan.SetUp:
		return k.links.SetUp(l.Index)
	case s.Kind == plan.ChangeDevice:
		c, err := k.dial()
		if err != nil {
			return err
		}
		return c.ChangeDevice(l.Index, parameters(s.MACsec))
	case s.Kind == plan.DeleteDevice && l.Kind != "macsec":
		return k.links.Delete(l.Index)
	case s.Kind == plan.DeleteDevice:
		c, err := k.dial()
		if err != nil {
			return err
		}
		return unlessGone(c.DeleteDevice(l.Index))
	default:
		return fmt.Errorf("step %q is unknown", s.Kind)
	}
	if s.Kind == plan.RemoveAddress || s.Kind == plan.DeleteDevice || s.Kind == plan.RemoveTags {
		return unlessGone(err)
	}
	return err
}

func unlessGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

func (k *Kernel) attach(s plan.Step) error {
	l, err := k.links.ByName(s.Device)
	if err != nil {
		return err
	}
	f, err := filterOf(*s.Filter)
	if err != nil {
		return err
	}
	return k.ns.Do(func() error {
		e, err := bpf.Attach(l.Index, f)
		if err != nil {
			return err
		}
		return e.Close()
	})
}

// create makes the device under a name of its own and gives it name and alias
// last, in one: see package plan.
func (k *Kernel) create(s plan.Step) error {
	parent, err := k.links.ByName(s.Device)
	if err != nil {
		return err
	}
	c, err := k.dial()
	if err != nil {
		return err
	}
	// The kernel makes the SCI of the parent's address and this port.
	index, err := c.CreateDevice(macsec.Device{Name: plan.UnfinishedName, Parent: parent.Index, Port: s.MACsec.SCI.Port(),
		CipherSuite: macsec.CipherSuite(s.MACsec.Suite.ID()), Config: parameters(s.MACsec)})
	if err != nil {
		return err
	}
	if err = k.links.SetDormant(index, true); err == nil {
		err = k.links.SetNameAlias(index, s.Link, plan.Alias(s.Port))
	}
	if err != nil {
		return errors.Join(err, unlessGone(c.DeleteDevice(index)))
	}
	return nil
}

// createTap is create for a SecY in user space.
func (k *Kernel) createTap(s plan.Step) error {
	parent, err := k.links.ByName(s.Device)
	if err != nil {
		return err
	}
	if err := k.ns.Do(func() error { return tap.Create(plan.UnfinishedName) }); err != nil {
		return err
	}
	l, err := k.links.ByName(plan.UnfinishedName)
	if err != nil {
		return err
	}
	if err = k.links.SetMAC(l.Index, parent.MAC); err == nil {
		err = k.links.SetDormant(l.Index, true)
	}
	if err == nil {
		err = k.links.SetNameAlias(l.Index, s.Link, plan.Alias(s.Port))
	}
	if err != nil {
		return errors.Join(err, k.links.Delete(l.Index))
	}
	return nil
}

// parameters are those of m that a live device can take.
func parameters(m *plan.MACsec) macsec.Config {
	validate := macsec.Validation(m.Validate)
	replay := macsec.Replay{Protect: m.ReplayWindow != nil}
	if m.ReplayWindow != nil {
		replay.Window = *m.ReplayWindow
	}
	return macsec.Config{Encrypt: &m.Encrypt, Protect: &m.Protect, IncludeSCI: &m.SendSCI, Validate: &validate, Replay: &replay}
}
