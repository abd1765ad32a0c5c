package update

import (
	"fmt"
	"strings"
	"time"

	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot"
)

// The states of a version.
const (
	Good   = "good"
	Trial  = "trial"  // booted until its tries are used up, or it is found good
	Failed = "failed" // its tries were used up
	Empty  = "empty"
	Broken = "broken" // a UKI, and not the root that it boots
)

// What became of the last update.
const (
	Waiting     = "waiting"     // for a reboot
	OnTrial     = "on trial"    // it runs, or ran, and is not yet good
	Holds       = "good"        //
	FellBack    = "failed"      // the version before it was booted again
	Installing  = "installing"  // it is being written
	Interrupted = "interrupted" // the install did not end
	Replaced    = "gone"        // neither slot has it
)

// Overview is the document of image status --json.
type Overview struct {
	Image      string  `json:"image"`
	Running    Version `json:"running"`
	Other      Version `json:"other"`
	Verity     bool    `json:"verity"`      // the root is the verified device, of the tree that was signed
	SecureBoot string  `json:"secure_boot"` // on, off, no UEFI, or unknown and why
	Last       *Update `json:"last_update"` // null: none was ever installed
}

// Version is what a slot has.
type Version struct {
	Slot    string `json:"slot"`
	Version string `json:"version,omitempty"`
	State   string `json:"state"`
	// TriesLeft is how often it will be booted yet, while it is on trial.
	TriesLeft *int   `json:"tries_left,omitempty"`
	Problem   string `json:"problem,omitempty"`
}

// Update is the last one that was installed.
type Update struct {
	Version string    `json:"version"`
	From    string    `json:"from"`
	Slot    string    `json:"slot"`
	Time    time.Time `json:"time"`
	Result  string    `json:"result"`
	Reasons []string  `json:"reasons"` // why it failed, as far as that is known
}

// seen is what Overview is made of.
type seen struct {
	run      Running
	disk     slot.Disk
	ukis     []slot.UKI
	other    part.Boot // UUIDs in the other slot; empty where there are none
	otherErr error     // why it cannot be read
	record   *health.Record
	results  []health.Result

	installing bool
}

func (s *seen) overview() Overview {
	o := Overview{Image: "linkseal"}
	o.Running = Version{Slot: s.disk.Running.Name, Version: s.run.Version, State: Broken, Problem: "its kernel image is not on the EFI system partition"}
	o.Other = Version{Slot: s.disk.Other.Name, State: Empty}
	for _, u := range s.ukis {
		if u.Err == nil && u.Boot == s.run.Boot {
			o.Running.Problem = ""
			if o.Running.state(u); u.Trial { // systemd-boot has counted this boot already
				left := u.Left
				o.Running.State, o.Running.TriesLeft = Trial, &left
			}
			continue
		}
		if o.Other.Version != "" && slot.Compare(u.Version, o.Other.Version) < 0 {
			continue // there is one at the most, unless somebody put it there
		}
		o.Other = Version{Slot: s.disk.Other.Name, Version: u.Version}
		o.Other.state(u)
		switch {
		case s.otherErr != nil:
			o.Other.Problem = s.otherErr.Error()
		case u.Err != nil:
			o.Other.broken(fmt.Sprintf("%s: %v", u.Name, u.Err))
		case u.Boot.Root != s.other.Root || u.Boot.Verity != s.other.Verity:
			o.Other.broken(u.Name + " boots a root that the slot has not")
		}
	}
	if r := s.record; r != nil {
		o.Last = &Update{Version: r.Version, From: r.From, Slot: r.Slot, Time: r.Time, Reasons: []string{}}
		o.Last.Result = s.became(&o)
		if o.Last.Result != Holds && o.Last.Result != Interrupted && o.Last.Result != Installing {
			o.Last.Reasons = s.reasons(o.Last.Result)
		}
		if o.Last.Result == FellBack && o.Other.State == Broken {
			o.Last.Reasons = []string{o.Other.Problem}
		}
	}
	return o
}

// state is what a UKI's name says.
func (v *Version) state(u slot.UKI) {
	left := u.Left
	switch {
	case !u.Trial:
		v.State = Good
	case left == 0:
		v.State = Failed
	default:
		v.State, v.TriesLeft = Trial, &left
	}
}

func (v *Version) broken(problem string) {
	v.State, v.TriesLeft, v.Problem = Broken, nil, problem
}

func (s *seen) became(o *Overview) string {
	v := s.record.Version
	switch {
	case v == o.Running.Version && o.Running.State == Good:
		return Holds
	case v == o.Running.Version:
		return OnTrial
	case v != o.Other.Version && s.record.Slot == o.Other.Slot && (o.Other.State == Empty || slot.Compare(o.Other.Version, v) < 0):
		// What was there before may be there yet.
		if s.installing {
			return Installing
		}
		return Interrupted
	case v != o.Other.Version:
		return Replaced
	case o.Other.State == Trial && *o.Other.TriesLeft == slot.Tries:
		return Waiting
	case o.Other.State == Trial:
		return OnTrial
	case o.Other.State == Good:
		return Holds
	}
	return FellBack
}

// reasons are those of the last check of the version that found some.
func (s *seen) reasons(result string) []string {
	for i := len(s.results) - 1; i >= 0; i-- {
		if r := s.results[i]; r.Version == s.record.Version && len(r.Reasons) > 0 {
			return r.Reasons
		}
	}
	if result == FellBack {
		return []string{fmt.Sprintf("none of its %d boots came to the end of its health check; the console, or the journal of those boots (journalctl --list-boots), may tell more", slot.Tries)}
	}
	return []string{}
}

// Text is the overview for people.
func (o *Overview) Text() string {
	var b strings.Builder
	verity := "verified"
	if !o.Verity {
		verity = "NOT VERIFIED"
	}
	fmt.Fprintf(&b, "running      %s, slot %s: %s\n", o.Running.Version, o.Running.Slot, o.Running.text())
	fmt.Fprintf(&b, "other        slot %s: ", o.Other.Slot)
	if o.Other.Version != "" {
		b.WriteString(o.Other.Version + ", ")
	}
	b.WriteString(o.Other.text() + "\n")
	fmt.Fprintf(&b, "root         %s\nSecure Boot  %s\n", verity, o.SecureBoot)
	if u := o.Last; u == nil {
		b.WriteString("last update  none\n")
	} else {
		fmt.Fprintf(&b, "last update  %s from %s, installed %s to slot %s: %s\n", u.Version, u.From, u.Time.UTC().Format(time.RFC3339), u.Slot, u.Result)
		for _, r := range u.Reasons {
			fmt.Fprintf(&b, "             %s\n", r)
		}
	}
	return b.String()
}

func (v *Version) text() string {
	s := v.State
	if v.TriesLeft != nil {
		s = fmt.Sprintf("on trial, %d tries left", *v.TriesLeft)
	}
	if v.Problem != "" {
		s += "; " + v.Problem
	}
	return s
}
