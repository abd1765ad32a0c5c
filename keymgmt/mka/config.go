package mka

import (
	"fmt"
	"io"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// The timers of 802.1X-2020 table 9-3.
const (
	DefaultHello = 2 * time.Second
	DefaultLife  = 6 * time.Second
	BoundedHello = 500 * time.Millisecond
	RetireTime   = 3 * time.Second
	// MaxSuspension is the longest that a peer may suspend MKA.
	MaxSuspension = 120 * time.Second
)

// Config is what one port's operator decides.
type Config struct {
	SCI      sa.SCI
	Priority uint8 // key server priority: lowest wins, 255 never
	Hello    time.Duration
	Life     time.Duration
	Rekey    time.Duration // a SAK's greatest age; 0: no limit
	Suite    sa.Suite
	// Encrypt false is integrity without confidentiality.
	Encrypt bool
	// ConfidentialityOffset is 0, 30 or 50 octets.
	ConfidentialityOffset uint8
	// DelayProtect announces the lowest acceptable PN every bounded hello
	// and raises ours by the peers'. Only for a SecY that can raise it
	// without ever lowering it.
	DelayProtect bool
	Destination  [6]byte
	EtherType    uint16
	Rand         io.Reader
}

// Validate says what is wrong with the configuration, before anything runs.
func (c *Config) Validate() error {
	switch {
	case c.Suite < sa.GCMAES128 || c.Suite > sa.GCMAESXPN256:
		return fmt.Errorf("cipher suite %d: not one of the four of 802.1AE", c.Suite)
	case c.ConfidentialityOffset != 0 && c.ConfidentialityOffset != 30 && c.ConfidentialityOffset != 50:
		return fmt.Errorf("confidentiality offset %d: 0, 30 or 50", c.ConfidentialityOffset)
	case c.ConfidentialityOffset != 0 && (c.Suite.XPN() || !c.Encrypt):
		return fmt.Errorf("confidentiality offset %d: only with encryption and without XPN", c.ConfidentialityOffset)
	case c.Hello <= 0 || c.Life < 3*c.Hello:
		return fmt.Errorf("hello %v and life %v: life is at least three hellos", c.Hello, c.Life)
	case c.Rekey < 0 || (c.Rekey > 0 && c.Rekey < c.Life):
		return fmt.Errorf("rekey %v: 0, or at least the life time %v", c.Rekey, c.Life)
	case c.Rand == nil:
		return fmt.Errorf("no source of randomness")
	}
	return nil
}

// offsetCode is the wire's confidentiality offset (802.1X table 11-7): 0 for
// integrity only, 1 to 3 for offsets 0, 30 and 50.
func (c *Config) offsetCode() uint8 {
	switch {
	case !c.Encrypt:
		return 0
	case c.ConfidentialityOffset == 30:
		return 2
	case c.ConfidentialityOffset == 50:
		return 3
	}
	return 1
}

// exhausted is the PN from which a SAK is replaced at the latest.
func exhausted(s sa.Suite) uint64 {
	if s.XPN() {
		return 0xC000000000000000
	}
	return 0xC0000000
}
