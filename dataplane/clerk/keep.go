package clerk

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/durable"
)

// maxFile is more octets than a file of account.Keep accounts has.
const maxFile = 4 << 20

func (c *Clerk) path(name string) string {
	return filepath.Join(c.o.State, "accounts", c.o.Port, name+".json")
}

// The two files: one is written every minute and small, the other when a key
// ends.
const (
	currentFile = "current"
	endedFile   = "ended"
)

func (c *Clerk) load() (account.Ledger, error) {
	current, err := read(c.path(currentFile))
	ended, errEnded := read(c.path(endedFile))
	l, errDecode := account.Decode(current, ended)
	return l, errors.Join(err, errEnded, errDecode)
}

// read is what a file has; nil if it is not there.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("read %s: it is longer than %d octets; move it away", path, maxFile)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// tally brings the ledger up to date with the counters, if there are any. The
// lock is held.
func (c *Clerk) tally(ckn map[string]string) {
	if c.sas == nil {
		return
	}
	counted, err := c.sas.Unsettled()
	c.report(counting, err)
	if err != nil {
		return
	}
	var seen []account.Account
	for i := range counted {
		seen = append(seen, entry(&counted[i]))
	}
	c.unsaved = c.ledger.Update(seen, ckn, time.Now()) || c.unsaved
	if c.why != "" {
		c.ledger.Open(c.closed, c.why, false)
	}
}

// entry is what was counted as the ledger has it.
func entry(a *bpf.Account) account.Account {
	e := account.Account{Direction: a.Direction.String(), SCI: hex.EncodeToString(a.SCI[:]), AN: a.AN, Key: sa.KeyIDFromOctets(a.Key).String(),
		From: a.Since.UTC(), Packets: a.Packets, Octets: a.Octets, PNHigh: a.High, Gaps: a.Gaps(),
		ClearPackets: a.Clear.Packets, ClearOctets: a.Clear.Octets, AllowedPackets: a.Allowed.Packets, AllowedOctets: a.Allowed.Octets,
		DroppedPackets: a.Dropped.Packets, DroppedOctets: a.Dropped.Octets}
	if !a.Until.IsZero() {
		to := a.Until.UTC()
		e.To = &to
	}
	if !a.Seen.IsZero() {
		seen := a.Seen.UTC()
		e.LastSeen = &seen
	}
	return e
}

// write counts and writes, without the lock while the disk is at work, and then
// lets the filter use the counters of keys that ended again. One goroutine at a
// time writes.
func (c *Clerk) write(ckn map[string]string) {
	c.mu.Lock()
	s := c.sas
	if s == nil && !c.unsaved {
		c.mu.Unlock()
		return
	}
	c.tally(ckn)
	current, err := c.ledger.EncodeCurrent()
	var ended []byte
	var errEnded error
	unsaved := c.unsaved
	if unsaved {
		ended, errEnded = c.ledger.EncodeEnded()
		c.unsaved = false
	}
	written := slices.Clone(c.ledger.Ended)
	c.mu.Unlock()

	err = errors.Join(err, errEnded)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(c.path(currentFile)), 0o700)
	}
	if err == nil && unsaved {
		err = durable.Write(c.path(endedFile), ended) // first: see account.Decode
	}
	if err == nil {
		err = durable.Write(c.path(currentFile), current)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.report(writing, err)
	switch {
	case err != nil:
		c.unsaved = c.unsaved || unsaved
	case c.sas == s && s != nil:
		c.report(counting, settle(s, written))
	}
}

// settle has the filter use the counters again of those that are written.
func settle(s *bpf.SAs, written []account.Account) error {
	counted, err := s.Unsettled()
	if err != nil {
		return err
	}
	for i := range counted {
		e := entry(&counted[i])
		for j := range written {
			if e.To != nil && written[j].Says(&e) {
				err = errors.Join(err, s.Settle(counted[i]))
			}
		}
	}
	return err
}

// Report is the accounts of the keys that are there and of the newest that
// ended, as they are now; what MACsec frames are in none, in both directions, nil
// where there are no counters; and what is wrong. ckn names keys.
func (c *Clerk) Report(ckn map[string]string, ended int) (all []account.Account, none *account.Count, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally(ckn)
	l := c.ledger
	if c.sas == nil {
		l.Current = nil // they are of a filter that is not there
	} else {
		if n, err := c.sas.Nobody(); err == nil { // else tally has told why
			none = &account.Count{Packets: n.Packets, Octets: n.Octets}
		}
	}
	for _, what := range []string{opening, counting, writing} {
		if text := c.failed[what]; text != "" {
			problem = what + ": " + text
			break
		}
	}
	return l.Newest(ended), none, problem
}
