package clerk

import (
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// sent are the accounts of what was sent, the current one first.
func sent(t *testing.T, c *Clerk) (all []account.Account) {
	t.Helper()
	for _, a := range accounts(t, c) {
		if a.Direction == account.Egress {
			all = append(all, a)
		}
	}
	return all
}

// open takes ingress of the filter off, and puts it back.
func (r *rig) reopen(t *testing.T) {
	t.Helper()
	r.do(t, func() error {
		l, err := netlink.LinkByIndex(r.index)
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFd(l, -1)
	})
	r.attach(t)
}

// A filter that was off in one direction has the same counters: the account of the
// key ends all the same, and says that the port was open; the next does not.
func TestFilterFoundMissing(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	c.Enforced("")
	apply(t, c, change(sa.InstallTx, 0, 1), change(sa.Encode, 0, 1))
	r.send(t, 0, 1)
	c.Enforced("")
	before := time.Now()
	r.reopen(t)
	r.do(t, func() error { c.FilterSet(); return nil })
	r.send(t, 0, 2)
	c.Enforced("")
	all := sent(t, c)
	want(t, all, "/1 1", "/1 1 ended cut")
	if a := all[1]; a.OpenSince == nil || a.OpenSince.After(before) || a.OpenSince.Before(a.From) || a.Open != filterMissing || !strings.Contains(a.State("encrypted"), "open since") {
		t.Errorf("%+v", a)
	}
	if a := all[0]; a.OpenSince != nil || a.From.Before(*all[1].To) {
		t.Errorf("%+v", a)
	}
	c.write(nil)
	if n := len(sent(t, c)); n != 2 {
		t.Errorf("%d accounts", n)
	}
}

// It was found by a daemon that had no session yet, or was killed then.
func TestFoundMissingAtStart(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	c.Enforced("")
	apply(t, c, change(sa.InstallTx, 0, 1), change(sa.Encode, 0, 1))
	r.send(t, 0, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	r.reopen(t)
	c = r.open(t)
	c.Enforced("")
	r.send(t, 0, 2)
	all := sent(t, c)
	want(t, all, "/1 1", "/1 1 ended cut")
	if all[1].OpenSince == nil || all[0].OpenSince != nil {
		t.Errorf("%+v", all)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if again := sent(t, r.open(t)); len(again) != 2 || again[1].OpenSince == nil || !again[1].Cut || again[0].OpenSince != nil {
		t.Errorf("after a restart: %+v", again)
	}
}

// While there is no guard, accounts say so: what was before is cut, what begins then
// is open, and what begins when it is back is not.
func TestGuardDown(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	c.Enforced("")
	apply(t, c, change(sa.InstallTx, 0, 1), change(sa.Encode, 0, 1))
	r.send(t, 0, 1)
	for range 2 {
		c.Enforced("no guard")
	}
	r.send(t, 0, 2)
	r.send(t, 0, 3)
	all := sent(t, c)
	want(t, all, "/1 2", "/1 1 ended cut")
	for _, a := range all {
		if a.OpenSince == nil || a.Open != "no guard" || a.OpenSince.Before(a.From) {
			t.Errorf("%+v", a)
		}
	}
	apply(t, c, change(sa.InstallTx, 1, 2), change(sa.Encode, 1, 2))
	if a := sent(t, c)[1]; a.OpenSince == nil || !a.OpenSince.Equal(a.From) {
		t.Errorf("a key that begins then: %+v", a)
	}
	c.Enforced("")
	all = sent(t, c)
	want(t, all, "/1 0", "/2 0", "/2 0 ended cut", "/1 2 ended cut", "/1 1 ended cut")
	if all[0].OpenSince != nil || all[1].OpenSince != nil || all[2].OpenSince == nil {
		t.Errorf("%+v", all)
	}
}
