package reconcile

import (
	"errors"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

// observeTags tells what tags the frames of a port's device. What cannot be read
// is torn if the port is to have tags: to set them may help, and says why not.
func (k *Kernel) observeTags(index int, wanted bool) (t *plan.Tags, torn bool) {
	var found bpf.Tagging
	err := k.ns.Do(func() (err error) { found, err = bpf.ObserveTags(index); return err })
	switch {
	case err != nil:
		return nil, wanted
	case found.Ingress == 0 && found.Egress == 0:
		return nil, false
	}
	t = &plan.Tags{Rules: []plan.TagRule{}}
	for _, r := range found.Rules {
		t.Rules = append(t.Rules, plan.TagRule(r))
	}
	return t, found.Torn
}

func (k *Kernel) setTags(index int, t *plan.Tags) error {
	var rules []bpf.Rule
	for _, r := range t.Rules {
		rules = append(rules, bpf.Rule(r))
	}
	return k.ns.Do(func() error { return bpf.AttachTags(index, rules) })
}

// Tagging is what is counted on a port's interface that has tags.
func (k *Kernel) Tagging(name string) (s status.Tagging, err error) {
	l, err := k.links.ByName(name)
	if err != nil {
		return s, err
	}
	var read bpf.TagTraffic
	if err := k.ns.Do(func() (err error) { read, err = bpf.ReadTags(l.Index); return err }); err != nil {
		return s, err
	}
	s.TagsBy = read.Egress.String()
	s.Circuits = k.circuits.bound(name, l.Index, circuitsOf(read.Circuits))
	for _, c := range read.Classes {
		if c.Name == "" {
			c.Name = config.OtherClass
		}
		s.Classes = append(s.Classes, status.Class{Name: c.Name, Direction: c.Direction, Traffic: traffic(c.Traffic)})
	}
	return s, nil
}

func traffic(t bpf.Traffic) status.Traffic {
	return status.Traffic{Packets: t.Packets, Octets: t.Octets, LastSeen: status.Given(t.Seen.UTC().Truncate(time.Millisecond))}
}

// tagging fills in what m counts of a port with tags. Before they are set there
// is nothing to tell.
func (v view) tagging(m Machine, p *status.Port) {
	if v.cfg.Tags == nil {
		return
	}
	t, err := m.Tagging(v.cfg.Interface)
	if err != nil && !errors.Is(err, bpf.ErrNotTagged) && !gone(err) {
		t.TagsError = err.Error()
	}
	p.Tagging = t
}
