package lab

import (
	"context"
	"errors"
	"fmt"
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
// in keys, or whose SAK was distributed, and that by its status the daemon does
// not have. Those that it has are to be found, each: that shows that the scan
// sees. It gives up with ctx, saying what was found last.
func (s *SAKs) Forgotten(ctx context.Context, a *Appliance, keys []Key, least int) (Memory, error) {
	start := time.Now()
	var m Memory
	var found []leak.Finding
	for {
		now, left, err := s.look(ctx, a, keys)
		if err == nil {
			m, found = now, left
			m.Took = time.Since(start)
			if len(found) == 0 && m.Retired >= least {
				return m, nil
			}
		} else if ctx.Err() == nil && !errors.Is(err, errMoved) {
			return m, err
		}
		select {
		case <-ctx.Done():
			texts := []string{fmt.Sprintf("%s: after %v, of %d retired keys %d parts are in its memory", a.Name, time.Since(start).Round(time.Second), m.Retired, len(found))}
			for _, f := range found {
				texts = append(texts, f.String())
			}
			return m, errors.New(strings.Join(texts, "\n\t"))
		case <-time.After(askEvery):
		}
	}
}

// errMoved says that keys came or went during a scan.
var errMoved = errors.New("keys changed meanwhile")

// look scans once, and returns what it found of retired keys.
func (s *SAKs) look(ctx context.Context, a *Appliance, keys []Key) (m Memory, left []leak.Finding, err error) {
	before, err := a.Status(ctx)
	if err != nil {
		return m, nil, err
	}
	used, retired, err := s.sorted(before, keys)
	if err != nil {
		return m, nil, err
	}
	all, err := leak.Scan(a.Pid(), slices.Concat(used, retired))
	if err != nil {
		return m, nil, err
	}
	after, err := a.Status(ctx)
	if err != nil {
		return m, nil, err
	}
	if inUse(before) != inUse(after) {
		return m, nil, errMoved
	}
	for _, k := range used {
		if !slices.ContainsFunc(all.Found, func(f leak.Finding) bool { return f.Secret == k.Name }) {
			return m, nil, fmt.Errorf("%s: the %s is in use, and the scan of its memory does not find it", a.Name, k.Name)
		}
	}
	left = slices.DeleteFunc(all.Found, func(f leak.Finding) bool {
		return slices.ContainsFunc(used, func(k leak.Secret) bool { return k.Name == f.Secret })
	})
	return Memory{Octets: all.Octets, Used: len(used), Retired: len(retired), Unread: all.Unread}, left, nil
}

// sorted are the keys that the port has, and those that it has no more.
func (s *SAKs) sorted(p status.Port, keys []Key) (used, retired []leak.Secret, err error) {
	has := inUse(p)
	put := func(name string, list ...leak.Secret) {
		if strings.Contains(has, name) {
			used = append(used, list...)
		} else {
			retired = append(retired, list...)
		}
	}
	for _, k := range keys {
		list, err := leak.Keys(k.CKN, k.CAK)
		if err != nil {
			return nil, nil, err
		}
		put("ckn "+k.CKN+" ", list...)
	}
	saks, err := s.All()
	for id, sak := range saks {
		put("sak "+id+" ", sak)
	}
	return used, retired, err
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
