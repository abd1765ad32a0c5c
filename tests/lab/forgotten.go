package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/leak"
)

// Memory is what was in a daemon's.
type Memory struct {
	Octets        int64    // that were looked at
	Used, Retired int      // keys that were found, and that were not
	Unread        []string // mappings that could not be looked at
	Took          time.Duration
}

// Forgotten waits until no retired key is in the memory of the appliance's
// daemon, all of it, and at least so many are retired. A key is retired that is
// in keys, or whose SAK was distributed, and that by its status the daemon has
// neither before nor after a scan. Those that it has at both times are to be
// found, each, and at least a CAK, its ICK and KEK, and a SAK: that shows that the
// scan sees. It gives up with ctx, saying what was found last.
func (s *SAKs) Forgotten(ctx context.Context, a *Appliance, keys []Key, least int) (Memory, error) {
	start := time.Now()
	for {
		m, left, err := s.look(ctx, a, keys)
		m.Took = time.Since(start)
		switch {
		case err != nil && ctx.Err() == nil:
			return m, err
		case err == nil && len(left) == 0 && m.Retired >= least && m.Used >= 4:
			return m, nil
		}
		select {
		case <-ctx.Done():
			texts := []string{fmt.Sprintf("%s: after %v, of %d retired keys %d parts are in its memory, and %d keys in use", a.Name, m.Took.Round(time.Second), m.Retired, len(left), m.Used)}
			for _, f := range left {
				texts = append(texts, f.String())
			}
			return m, errors.New(strings.Join(texts, "\n\t"))
		case <-time.After(askEvery):
		}
	}
}

// look scans once, and returns what it found of retired keys.
func (s *SAKs) look(ctx context.Context, a *Appliance, keys []Key) (m Memory, left []leak.Finding, err error) {
	secrets, err := s.secrets(keys)
	if err != nil {
		return m, nil, err
	}
	before, err := a.Status(ctx)
	if err != nil {
		return m, nil, err
	}
	all, err := leak.Scan(a.Pid(), slices.Concat(slices.Collect(maps.Values(secrets))...))
	if err != nil {
		return m, nil, err
	}
	after, err := a.Status(ctx)
	if err != nil {
		return m, nil, err
	}
	m.Octets, m.Unread = all.Octets, all.Unread
	had, has := inUse(before), inUse(after)
	for id, list := range secrets {
		for _, k := range list {
			n := len(left)
			for _, f := range all.Found {
				if f.Secret == k.Name {
					left = append(left, f)
				}
			}
			switch used := strings.Contains(had, id); {
			case used != strings.Contains(has, id): // it came or went meanwhile
				left = left[:n]
			case !used:
				m.Retired++
			case len(left) == n:
				return m, nil, fmt.Errorf("%s: the %s is in use, and the scan of its memory does not find it", a.Name, k.Name)
			default:
				m.Used++
				left = left[:n]
			}
		}
	}
	return m, left, nil
}

// secrets are the CAKs with what is derived of them and the SAKs distributed,
// by what inUse calls them.
func (s *SAKs) secrets(keys []Key) (map[string][]leak.Secret, error) {
	secrets := map[string][]leak.Secret{}
	for _, k := range keys {
		list, err := leak.Keys(k.CKN, k.CAK)
		if err != nil {
			return nil, err
		}
		secrets["ckn "+k.CKN+" "] = list
	}
	saks, err := s.All()
	for id, sak := range saks {
		secrets["sak "+id+" "] = []leak.Secret{sak}
	}
	return secrets, err
}

// inUse names the keys that a port has.
func inUse(p status.Port) string {
	var b strings.Builder
	for _, m := range p.Participants {
		fmt.Fprintf(&b, "ckn %s ", m.CKN)
	}
	if p.Tx != nil {
		fmt.Fprintf(&b, "sak %s ", p.Tx.Key)
	}
	for _, r := range p.Rx {
		fmt.Fprintf(&b, "sak %s ", r.Key)
	}
	return b.String()
}
