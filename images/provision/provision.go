// Package provision gives an appliance its configuration and first keys: from
// a medium labelled LINKSEAL, from cloud-init's NoCloud, from Azure's custom data.
//
// What a source brings (bundle) is staged, checked as `linkseal check` does and
// installed as a whole (store), or refused as a whole with the reasons. Who
// comes first provisions: afterwards a source that brings something else is
// refused, so that no stick turns a must-secure port clear.
package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/medium"
	"github.com/linkseal/linkseal/images/provision/ovfenv"
	"github.com/linkseal/linkseal/images/provision/store"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// What became of what a source offered.
const (
	Applied = "applied"
	Same    = "same"    // as provisioned: nothing to do
	Refused = "refused" // nothing was changed
	Empty   = "empty"   // it has nothing for an appliance
	// Unfinished is what was accepted, and could not all be installed. The daemon does not
	// start until it is.
	Unfinished = "unfinished"
)

// Outcome is what became of a source.
type Outcome struct {
	Source string    `json:"source"`
	Result string    `json:"result"`
	At     time.Time `json:"at"`
	// Reasons say why it was refused: FILE:LINE:COL where a file is at fault.
	Reasons []string `json:"reasons,omitempty"`
	Remedy  string   `json:"remedy,omitempty"`
	// Ignored is what was there and not understood.
	Ignored []string `json:"ignored,omitempty"`
}

// Check says what is wrong with a configuration whose directory, for now, is
// dir, and which is to be that of /etc/linkseal; none if nothing is.
type Check func(ctx context.Context, dir, config string) (wrong []string, err error)

// Offer is what a source has.
type Offer struct {
	Source string // for people
	// Medium is the digest of it as it is: an update of the program, which may make
	// something else of it, knows by it what it was provisioned with. Empty: none.
	Medium string
	Read   func() (*bundle.Bundle, error)
}

// Take installs what is offered, or says why not.
func Take(ctx context.Context, s *store.Store, check Check, from Offer, now time.Time) Outcome {
	o := Outcome{Source: from.Source, At: now.UTC()}
	refuse := func(remedy string, reasons ...string) Outcome {
		o.Result, o.Remedy, o.Reasons = Refused, remedy, bounded(reasons)
		return o
	}
	unchanged := func(r store.Record) bool { return from.Medium != "" && r.Medium == from.Medium }
	if taken, _, err := owned(s, unchanged); err != nil {
		return refuse("", err.Error())
	} else if taken == Same {
		o.Result = Same
		return o
	}
	b, err := from.Read()
	switch {
	case errors.Is(err, medium.ErrNone), errors.Is(err, ovfenv.ErrNone):
		o.Result, o.Reasons = Empty, []string{err.Error()}
		return o
	case err != nil:
		return refuse(mend, lines(err)...)
	}
	defer b.Zero()
	o.Ignored = b.Ignored
	if len(b.Files) == 0 {
		o.Result, o.Reasons = Empty, []string{"it has nothing that an appliance is provisioned with"}
		return o
	}
	if taken, remedy, err := owned(s, func(r store.Record) bool { return r.Digest == b.Digest() }); err != nil {
		return refuse("", err.Error())
	} else if taken == Same {
		o.Result = Same
		return o
	} else if taken != "" {
		return refuse(remedy, taken)
	}
	if wrong := medium.Missing(b); len(wrong) > 0 {
		return refuse(mend, wrong...)
	}
	dir, err := s.Stage(b, store.Record{Source: from.Source, At: now.UTC(), Medium: from.Medium})
	if err != nil {
		return refuse("", "it cannot be staged: "+err.Error())
	}
	if text, ok := b.Get(bundle.Config); ok {
		wrong, err := check(ctx, dir, string(text))
		if err != nil {
			wrong = append(wrong, "it could not be checked: "+err.Error())
		}
		if len(wrong) > 0 {
			if err := s.Discard(); err != nil {
				wrong = append(wrong, err.Error())
			}
			return refuse(mend, wrong...)
		}
	}
	if err := s.Commit(); errors.Is(err, store.ErrUnfinished) {
		return Cut(from.Source, now, err)
	} else if err != nil {
		return refuse("", "it cannot be installed: "+err.Error())
	}
	o.Result = Applied
	return o
}

// Cut is the outcome of an installation that ended too early.
func Cut(source string, now time.Time, err error) Outcome {
	return Outcome{
		Source: source, At: now.UTC(), Result: Unfinished, Reasons: bounded(lines(err)),
		Remedy: "mend that, then start the machine again, or over SSH: systemctl restart linkseal-provision",
	}
}

const mend = "mend it and offer it again: put the medium in anew, or start the machine again"

// owned says who provisioned the appliance, if somebody did: Same by what same says
// of the record, or the reason for refusing another.
func owned(s *store.Store, same func(store.Record) bool) (taken, remedy string, err error) {
	r, err := s.Record()
	if err != nil {
		return "", "", err
	}
	config, err := s.Has(bundle.Config)
	if err != nil {
		return "", "", err
	}
	keys, err := s.Has(bundle.AuthorizedKeys)
	if err != nil {
		return "", "", err
	}
	const anew = "; or write the image anew"
	switch {
	case r.Digest != "" && same(r) && (config || keys && !r.Config()):
		return Same, "", nil
	case config && r.Config():
		return fmt.Sprintf("the appliance has been provisioned already, from %s on %s, and this is something else", r.Source, r.At.Format(time.RFC3339)),
			"to provision it again, remove " + bundle.Config + " over SSH and offer it again" + anew, nil
	case config:
		return "the appliance has a " + bundle.Config + " already",
			"to provision it, remove that file over SSH and offer it again" + anew, nil
	case keys && r.Digest != "" && !r.Config():
		return fmt.Sprintf("the appliance has its SSH keys already, from %s on %s, and this is something else", r.Source, r.At.Format(time.RFC3339)),
			"to configure it, write " + bundle.Config + " over SSH; or remove " + bundle.AuthorizedKeys + " there and offer it again" + anew, nil
	}
	return "", "", nil
}

// lines are an error's, of many problems each one.
func lines(err error) []string {
	var all strict.Problems
	if errors.As(err, &all) {
		out := make([]string, len(all))
		for i, p := range all {
			out[i] = p.Error()
		}
		return out
	}
	return strings.Split(err.Error(), "\n")
}

// bounded keeps a stranger's file from filling a console.
func bounded(reasons []string) []string {
	const most, long = 20, 600
	if n := len(reasons); n > most {
		reasons = append(reasons[:most:most], fmt.Sprintf("and %d more", n-most))
	}
	for i, r := range reasons {
		r = strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return ' '
			}
			return c
		}, r)
		if len(r) > long {
			r = strings.ToValidUTF8(r[:long], "") + "..."
		}
		reasons[i] = r
	}
	return reasons
}

// Write tells what became of a source, for a log.
func (o Outcome) Write(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", o.Source, o.Result)
	for _, r := range o.Reasons {
		fmt.Fprintf(w, "  %s\n", r)
	}
	if o.Remedy != "" {
		fmt.Fprintf(w, "  %s\n", o.Remedy)
	}
	for _, i := range o.Ignored {
		fmt.Fprintf(w, "  ignored: %s\n", i)
	}
}
