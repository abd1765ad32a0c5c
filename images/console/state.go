// Package console says on the machine's own screen and serial line what state the
// appliance is in, and what to do next, to an engineer on site who has neither
// password nor network. It takes no input. Sections is pure: a State in, lines of
// at most Width columns of ASCII out.
package console

import (
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/provision"
	"github.com/linkseal/linkseal/images/provision/store"
)

// Width is the most columns of a line.
const Width = 80

// State is all that the console tells of.
type State struct {
	Host    string // the machine's name
	Version string // of linkseal
	Image   string // of the image
	Slot    string // "a", "b"; empty: not known
	// Trial is what there is to say of an update that has not proved itself.
	Trial      string
	SecureBoot string // as "on"; empty: not known

	Interfaces []Interface

	// Record is what the appliance was provisioned with; the zero one if it was
	// not. Outcomes are what became of each source since the start.
	Record   store.Record
	Outcomes []provision.Outcome
	// Config: there is a linkseal.yaml. SSH: there are authorized keys.
	Config, SSH bool

	// Status is the daemon's, nil if it does not answer: NoStatus says why, and
	// Wrong what is wrong with the configuration, if that is why.
	Status   *status.Status
	NoStatus string
	Starting bool // it has not answered for some seconds only
	Wrong    []string

	// Faults are what of all this could not be found out.
	Faults []string
	Now    time.Time
}

// Interface is a network interface.
type Interface struct {
	Name, MAC string
	Up        bool // it is set up
	Carrier   bool
	Addresses []string
}

// Section is a part of what is shown: a title, and lines that are about it.
type Section struct {
	Title string
	Lines []string
}
