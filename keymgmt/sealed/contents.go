package sealed

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// Contents is what is kept: the last good keys of every source.
type Contents struct {
	// Time is the newest wall clock that the appliance has seen: a clock that
	// says less is not to be trusted. To the nanosecond, UTC.
	Time time.Time
	// Keychains by their names in the configuration. Of a key all is kept but
	// its Origin.
	Keychains map[string]*keychain.Keychain
}

// Zero zeroes all secrets. The contents are not used afterwards.
func (c Contents) Zero() {
	for _, k := range c.Keychains {
		k.Zero()
	}
}
