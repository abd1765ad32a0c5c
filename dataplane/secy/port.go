package secy

import (
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/macsec"
)

// SetControlledPort opens or closes the port. The interface is never taken
// down: that would flush its addresses and routes.
//
//	Secured    protectFrames on, validateFrames strict; operstate UP with the carrier
//	Unsecured  the same; operstate DORMANT
//	Clear      protectFrames off, validateFrames check, so that untagged frames
//	           pass both ways; operstate UP. ErrMustSecure unless Options.Should
//
// In Secured and Unsecured what is transmitted is for the encoding SA to say:
// without one, nothing.
func (s *SecY) SetControlledPort(p sa.ControlledPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setControlledPort(p); err != nil {
		return s.fail(fmt.Sprintf("set the controlled port %s", p), err)
	}
	return nil
}

func (s *SecY) setControlledPort(p sa.ControlledPort) error {
	if p == sa.Clear && !s.should {
		return ErrMustSecure
	}
	dev, err := s.get()
	if err != nil {
		return err
	}
	// The frames first: what the interface announces is then true.
	if c, change := portConfig(dev, p); change {
		if err := s.kernel.ChangeDevice(s.ifindex, c); err != nil {
			return err
		}
	}
	l, err := s.links.ByIndex(s.ifindex)
	if err != nil {
		return err
	}
	dormant := p != sa.Secured && p != sa.Clear
	if l.IsDormant(dormant) {
		return nil
	}
	return s.links.SetDormant(s.ifindex, dormant)
}

// portConfig is what has to change of the device's parameters. Protection and
// validation go in one request, which the kernel carries out at once.
func portConfig(dev *macsec.SecY, p sa.ControlledPort) (c macsec.Config, change bool) {
	protect, validate := true, macsec.ValidateStrict
	if p == sa.Clear {
		protect, validate = false, macsec.ValidateCheck
	}
	if dev.Protect != protect {
		c.Protect, change = &protect, true
	}
	if dev.Validate != validate {
		c.Validate, change = &validate, true
	}
	return c, change
}
