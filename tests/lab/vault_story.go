package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/azure"
)

// vaultPoll is how often the story's appliances ask the vault.
const vaultPoll = "2s"

// playVault is the story of a vault: a pair in it, a rotation out of it under
// traffic, an outage, a reboot meanwhile, and the vault back.
func (s *story) playVault(ctx context.Context, port Port, userspace bool) error {
	cloud, err := s.lab.StartVault(vaultPoll)
	if err != nil {
		return err
	}
	for _, a := range []*Appliance{s.west, s.east} {
		if err := a.WriteConfig(port); err != nil {
			return err
		}
	}
	s.say("a vault runs: %s, asked every %s; its managed identity is west's and east's", cloud.URL(), vaultPoll)
	if err := s.verb(ctx, s.west, "keys", "generate", "link1"); err != nil {
		return err
	}
	wire, between, err := s.watch(userspace)
	if err != nil {
		return err
	}
	defer wire.Close()
	s.say("west and east start, %s, %s between them", port.Cipher, between)
	if err := errors.Join(s.west.Start(), s.east.Start()); err != nil {
		return err
	}
	ports, err := s.secured(ctx)
	if err != nil {
		return err
	}
	first := CKN(ports[0])
	s.say("the SecYs are %s: %s", inWords[ports[0].Dataplane], ports[0].DataplaneReason)
	s.say("secured under CKN %.8s… out of the vault", first)
	traffic, err := StartTraffic(s.west, s.east, pingEvery)
	if err != nil {
		return err
	}
	count, err := s.rotateOutage(ctx, cloud, traffic, first)
	if err != nil {
		traffic.Stop()
		return err
	}
	s.say("datagrams sent every %v through all of it: %d, answered %d, lost %d", pingEvery, count.Sent, count.Answered, count.Lost())
	if err := s.reboot(ctx); err != nil {
		return err
	}
	if err := cloud.Refuse(false); err != nil {
		return err
	}
	if err := s.faults(ctx, "the vault to be read again", func(v *status.Vault) bool { return len(v.Faults) == 0 && v.LastSuccess != nil }); err != nil {
		return err
	}
	s.say("the vault is back: both have read it")
	if err := s.sealed(wire); err != nil {
		return err
	}
	if count.Lost() > 0 {
		return fmt.Errorf("%d of %d datagrams were lost", count.Lost(), count.Sent)
	}
	return nil
}

func (s *story) secured(ctx context.Context) ([]status.Port, error) {
	return s.wait(ctx, "the link to be secured", func(p status.Port) bool { return p.State == status.Secured && p.Tx != nil })
}

// verb runs linkseal with these arguments and west's or east's configuration,
// and tells what it says.
func (s *story) verb(ctx context.Context, a *Appliance, args ...string) error {
	out, err := a.configured(ctx, args...)
	if err != nil {
		return err
	}
	s.sayVerb(a, args, out)
	return nil
}

// configured is Verb with the appliance's configuration, which is to succeed.
func (a *Appliance) configured(ctx context.Context, args ...string) (string, error) {
	out, errs, exit, err := a.Verb(ctx, append(args, "--config", a.ConfigFile())...)
	if err == nil && exit != 0 {
		err = fmt.Errorf("linkseal %s at %s: exit status %d: %s%s", strings.Join(args, " "), a.Name, exit, out, errs)
	}
	return out, err
}

func (s *story) sayVerb(a *Appliance, args []string, out string) {
	s.say("%s$ linkseal %s", a.Name, strings.Join(args, " "))
	for line := range strings.Lines(out) {
		s.say("  %s", strings.TrimRight(line, "\n"))
	}
}

// rotateOutage rotates the pair, and has the vault away for a while, under
// traffic.
func (s *story) rotateOutage(ctx context.Context, cloud *azure.Cloud, t *Traffic, first string) (Count, error) {
	if _, err := s.flows(ctx, t, 100); err != nil {
		return Count{}, err
	}
	if err := s.verb(ctx, s.west, "rotate", "link1"); err != nil {
		return Count{}, err
	}
	ports, err := s.wait(ctx, "both ends to encode under another CKN", func(p status.Port) bool { return CKN(p) != "" && CKN(p) != first })
	if err != nil {
		return Count{}, err
	}
	s.say("both ends encode under CKN %.8s…", CKN(ports[0]))
	if err := cloud.Refuse(true); err != nil {
		return Count{}, err
	}
	if err := s.faults(ctx, "the outage to be noticed", func(v *status.Vault) bool { return len(v.Faults) > 0 && v.Faults[0].Polls >= 2 }); err != nil {
		return Count{}, err
	}
	if _, err := s.secured(ctx); err != nil {
		return Count{}, err
	}
	s.say("the vault refuses connections: both have noticed at two polls, and the link stays secured")
	if _, err := s.flows(ctx, t, 200); err != nil {
		return Count{}, err
	}
	return t.Stop(), nil
}

// reboot ends both daemons and takes away what a reboot would: the MACsec
// devices with their SAs.
func (s *story) reboot(ctx context.Context) error {
	for _, a := range []*Appliance{s.west, s.east} {
		if err := a.Kill(); err != nil {
			return err
		}
		if err := a.NS.Do(forget); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
	}
	s.say("power is cut at both: daemons and SAs are gone, and the vault still is")
	if err := errors.Join(s.west.Start(), s.east.Start()); err != nil {
		return err
	}
	if _, err := s.secured(ctx); err != nil {
		return err
	}
	s.say("secured again, from sealed keys")
	return nil
}

// forget removes the MACsec device, if it has outlived its daemon.
func forget() error {
	l, err := netlink.LinkByName(Interface)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

// faults waits until both say so of their vault.
func (s *story) faults(ctx context.Context, what string, ok func(*status.Vault) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		good := 0
		for _, a := range []*Appliance{s.west, s.east} {
			st, err := status.NewClient(a.Socket()).Status(ctx)
			if err == nil && len(st.Keychains) == 1 && st.Keychains[0].Vault != nil && ok(st.Keychains[0].Vault) {
				good++
			}
		}
		if good == 2 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}
