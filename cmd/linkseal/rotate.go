package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/keymgmt/rotate/course"
)

func rotateVerb() *cobra.Command {
	var daemon daemonFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "rotate PORT|TUNNEL|KEYCHAIN",
		Short: "Change the keys of a port or a tunnel now, and follow it until the traffic has moved",
		Long: `Have the running daemon write a new CKN and CAK to the port's keychain, in its
vault or its file, and follow it: until both ends encode under the new CKN, and
the old SAs are gone, on all ports of the keychain. All that happens is printed,
with what was lost, counted by the SecYs; exit status 0 says that the traffic
has moved. The old keys are kept for a hold (rotation: {hold: 24h}), after
which the daemon disables them in the vault, or removes them from the file.

The other end takes the new key from the vault by itself. A key in a file has to
be brought to it: linkseal keys show CKN --show-keys prints it. Until then the
traffic goes on under the old key.

A tunnel gets a new PSK, which starts a little later, when the other end can be
expected to have it too: in a vault after one poll (poll: 5m). It is followed until
all of the tunnel's members, and of WireGuard all live peers of that keychain, have
had a handshake, or an IKE_AUTH, under it, and
what was lost is counted by the tunnel's interfaces.

A rotation goes on in the daemon when this is interrupted, and after a restart
of the daemon; run it again to follow it. One appliance rotates a keychain in a
vault, the owner that its newest pair is tagged with (linkseal-owner); another
is refused.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("rotate takes one PORT, TUNNEL or KEYCHAIN, got %d arguments", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			client, err := daemon.client(c)
			if err != nil {
				return err
			}
			ctx, stop := onlyFirst(untilSignal(c))
			defer stop()
			f := follower{out: c.OutOrStdout(), json: asJSON}
			err = client.Rotate(ctx, args[0], f.event)
			switch {
			case ctx.Err() != nil:
				return errors.New("interrupted; the rotation goes on in the daemon, linkseal rotate " + args[0] + " follows it again")
			case f.last == course.Failed:
				return &exitError{status: 1} // it has said why
			case err == nil && f.last != course.Done:
				return errors.New("the rotation's end was not seen; linkseal rotate " + args[0] + " follows it again")
			}
			return err
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line, an event each")
	return c
}

// follower prints the events of a rotation.
type follower struct {
	out  io.Writer
	json bool
	last course.Phase
}

func (f *follower) event(text json.RawMessage) error {
	var e course.Event
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("an event of the rotation: %w; is the daemon of another version?", err)
	}
	f.last = e.Phase
	if f.json {
		_, err := fmt.Fprintf(f.out, "%s\n", text)
		return err
	}
	_, err := fmt.Fprintf(f.out, "%9.2f s  %s\n", float64(e.ElapsedMS)/1000, eventText(&e))
	return err
}

// phaseWords are the phases as they are told.
var phaseWords = map[course.Phase]string{
	course.Claimed: "begun", course.Written: "a new pair is written", course.ReadBack: "it was read back", course.InKeychain: "our keychain has it",
	course.ParticipantUp: "a participant for it is up", course.PeerLive: "the peer is live on it", course.Moved: "both ends encode under it",
	course.Settled: "the old SAs are gone", course.Retired: "an old pair is retired", course.Done: "done", course.Failed: "failed",
	course.Resumed: "goes on", course.Waiting: "waiting", course.Retrying: "retrying", course.Unsecured: "no longer secured", course.Secured: "secured again",
}

// pskWords are those of a PSK, where they are others.
var pskWords = map[course.Phase]string{
	course.Written: "a new PSK is written", course.PeerLive: "a handshake under it", course.Moved: "all its members are under it",
	course.Settled: "the old one is not in use any more", course.Retired: "an old PSK is retired",
}

func eventText(e *course.Event) string {
	words := phaseWords[e.Phase]
	if e.PSK != "" && pskWords[e.Phase] != "" {
		words = pskWords[e.Phase]
	}
	if words == "" {
		words = strings.ReplaceAll(string(e.Phase), "_", " ")
	}
	var b strings.Builder
	if at := e.Port + e.Tunnel; at != "" {
		b.WriteString(at + ": ")
	}
	b.WriteString(words)
	switch {
	case e.Phase == course.Retired:
		b.WriteString(": " + e.Pair)
	case e.Phase == course.Written && e.PSK != "":
		b.WriteString(": " + short(e.PSK))
	case e.Phase == course.Written:
		fmt.Fprintf(&b, ": CKN %s, pair %s", short(e.CKN.String()), short(e.Pair))
	}
	for _, more := range []string{e.Detail, e.Error} {
		if more != "" {
			b.WriteString("; " + more)
		}
	}
	if e.Last() {
		b.WriteString("; " + lostText(e.Lost))
	}
	return b.String()
}

// lostText is what was lost, by counter.
func lostText(lost map[string]uint64) string {
	switch {
	case lost == nil:
		return "nothing counts what is lost"
	case course.Sum(lost) == 0:
		return "0 lost"
	}
	var some []string
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		if lost[name] > 0 {
			some = append(some, fmt.Sprintf("%s %d", name, lost[name]))
		}
	}
	return fmt.Sprintf("%d lost: %s", course.Sum(lost), strings.Join(some, ", "))
}

// short is a long name as people tell it from others.
func short(name string) string {
	if len(name) <= 12 {
		return name
	}
	return name[:8] + "…"
}
