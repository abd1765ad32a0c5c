package clerk

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/keymgmt/kay/kaytest"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	own  = sa.NewSCI([6]byte{2, 0, 0, 0, 0, 1}, 1)
	peer = sa.NewSCI([6]byte{2, 0, 0, 0, 0, 2}, 1)
)

// rig is a port with a filter, and a SecY that is a table.
type rig struct {
	ns    *netns.NS
	index int
	fd    int // a packet socket on the port
	state string
	secy  kaytest.SecY
	log   bytes.Buffer
}

var filter = bpf.Filter{EAPOLDestination: [6]byte{1, 0x80, 0xc2, 0, 0, 3}, EtherType: 0x888e}

func newRig(t *testing.T) *rig {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth, probe.AFPacket, probe.BPF, probe.XDPNative)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	r := &rig{ns: ns, state: t.TempDir()}
	r.do(t, func() error {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port", HardwareAddr: []byte{2, 0, 0, 0, 0, 1}}, PeerName: "peer"}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		other, err := netlink.LinkByName("peer")
		if err != nil {
			return err
		}
		if err := errors.Join(netlink.LinkSetUp(v), netlink.LinkSetUp(other)); err != nil {
			return err
		}
		r.index = v.Attrs().Index
		if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(r.fd) })
		return unix.Bind(r.fd, &unix.SockaddrLinklayer{Ifindex: r.index})
	})
	return r
}

func (r *rig) do(t *testing.T, f func() error) {
	t.Helper()
	if err := r.ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) attach(t *testing.T) {
	t.Helper()
	r.do(t, func() error {
		e, err := bpf.Attach(r.index, filter)
		if err != nil {
			return err
		}
		return e.Close()
	})
}

func (r *rig) open(t *testing.T) (c *Clerk) {
	t.Helper()
	r.do(t, func() error {
		c = Open(Options{SecY: &r.secy, SCI: own, Parent: r.index, State: r.state, Port: "link1", Log: slog.New(slog.NewTextHandler(&r.log, nil))})
		return nil
	})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// send sends a frame of the port's own SC. The hook is on its way, so that it
// has been counted when send returns.
func (r *rig) send(t *testing.T, an uint8, pn byte) {
	t.Helper()
	f := make([]byte, 100)
	copy(f, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xe5, 0x2c | an, 0, 0, 0, 0, pn})
	copy(f[20:], own[:])
	if _, err := unix.Write(r.fd, f); err != nil {
		t.Fatal(err)
	}
}

func change(kind sa.ChangeKind, an uint8, kn uint32) sa.Change {
	c := sa.Change{Kind: kind, SA: sa.SA{AN: an, Key: sa.KeyID{MI: sa.MI{1, 2, 3}, KN: kn}, PN: 1}}
	if kind == sa.InstallRx || kind == sa.DeleteRx || kind == sa.DeleteSC {
		c.SCI = peer
	}
	return c
}

func apply(t *testing.T, c *Clerk, changes ...sa.Change) {
	t.Helper()
	for _, one := range changes {
		if err := c.Apply(one); err != nil {
			t.Fatal(err)
		}
	}
}

// accounts are those that a status has, which has no problem.
func accounts(t *testing.T, c *Clerk) []account.Account {
	t.Helper()
	all, _, problem := c.Report(map[string]string{change(sa.Encode, 0, 1).SA.Key.String(): "0a"}, 10)
	if problem != "" {
		t.Fatal(problem)
	}
	return all
}

// want compares the sent part of accounts: key number, frames, and whether it
// has ended.
func want(t *testing.T, got []account.Account, all ...string) {
	t.Helper()
	var text []string
	for _, a := range got {
		if a.Direction == account.Egress {
			s := a.Key[strings.Index(a.Key, "/"):] + " " + string(rune('0'+a.Packets))
			if a.To != nil {
				s += " ended"
			}
			if a.Cut {
				s += " cut"
			}
			text = append(text, s)
		}
	}
	if strings.Join(text, "; ") != strings.Join(all, "; ") {
		t.Errorf("accounts %q, want %q", text, all)
	}
}

// From a key's first frame to its last, over a restart of the process, into the
// files; and the next key.
func TestKeys(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	apply(t, c, change(sa.InstallRx, 0, 1), change(sa.InstallTx, 0, 1), change(sa.Encode, 0, 1))
	r.send(t, 0, 1)
	r.send(t, 0, 3)
	all := accounts(t, c)
	want(t, all, "/1 2")
	if len(all) != 2 || all[1].Octets != 200 || all[1].Gaps != 1 || all[1].PNHigh != 3 || all[1].CKN != "0a" || all[1].ClearOctets != 0 || all[1].SCI != own.String() {
		t.Fatalf("%+v", all)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	r.send(t, 0, 4) // the kernel's SecY goes on
	c = r.open(t)
	want(t, accounts(t, c), "/1 3")
	apply(t, c, change(sa.InstallRx, 1, 2), change(sa.InstallTx, 1, 2), change(sa.Encode, 1, 2))
	r.send(t, 1, 1)
	r.send(t, 0, 5)
	apply(t, c, change(sa.DeleteTx, 0, 1), change(sa.DeleteSC, 0, 0))
	r.send(t, 0, 6) // nobody's
	want(t, accounts(t, c), "/2 1", "/1 4 ended")
	if _, none, _ := c.Report(nil, 0); none == nil || *none != (account.Count{Packets: 1, Octets: 100}) {
		t.Errorf("in no account: %+v", none)
	}
	c.write(nil)
	text, err := os.ReadFile(filepath.Join(r.state, "accounts", "link1", "ended.json"))
	if err != nil || !bytes.Contains(text, []byte(`"ckn":"0a"`)) || !bytes.Contains(text, []byte(`"packets":4`)) {
		t.Errorf("%s, %v", text, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, accounts(t, r.open(t)), "/2 1", "/1 4 ended")
}

// The SecY has no SA of a key that has a counter: its process was killed, or
// ended before the key had its end. It ends when that is found.
func TestLeftOver(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	apply(t, c, change(sa.InstallTx, 0, 1), change(sa.InstallTx, 1, 2))
	r.send(t, 0, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.secy.Apply(change(sa.DeleteTx, 0, 1)); err != nil {
		t.Fatal(err)
	}
	r.send(t, 0, 2)
	c = r.open(t)
	r.send(t, 0, 3) // nobody's
	r.send(t, 1, 1)
	want(t, accounts(t, c), "/2 1", "/1 2 ended")
}

// Another filter has other counters: what was counted by the one ends with it.
// The same filter changes nothing.
func TestFilterSetAnew(t *testing.T) {
	r := newRig(t)
	c := r.open(t)
	apply(t, c, change(sa.InstallTx, 0, 1), change(sa.Encode, 0, 1))
	want(t, accounts(t, c))
	if _, none, _ := c.Report(nil, 0); none != nil {
		t.Errorf("without a filter: %+v", none)
	}
	set := func() {
		r.attach(t)
		r.do(t, func() error { c.FilterSet(); return nil })
	}
	set()
	r.send(t, 0, 1)
	set()
	r.send(t, 0, 2)
	want(t, accounts(t, c), "/1 2")
	r.do(t, func() error { return bpf.Detach(r.index) })
	set()
	r.send(t, 0, 3)
	want(t, accounts(t, c), "/1 1", "/1 2 ended cut")
}

// The SecY refuses a key for an AN that has another: that one goes on.
func TestRefused(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	apply(t, c, change(sa.InstallTx, 0, 1))
	r.send(t, 0, 1)
	if err := c.Apply(change(sa.InstallTx, 0, 2)); err == nil {
		t.Fatal("it was not refused")
	}
	r.send(t, 0, 2)
	var sum uint64
	for _, a := range accounts(t, c) {
		if a.Key == change(sa.Encode, 0, 1).SA.Key.String() {
			sum += a.Packets
		}
	}
	if sum != 2 {
		t.Errorf("%+v", accounts(t, c))
	}
}

// A machine that stopped has no counters of the filter that it had: what was
// written last is what is known.
func TestMachineStopped(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	apply(t, c, change(sa.InstallTx, 0, 1))
	r.send(t, 0, 1)
	c.write(nil)
	next := newRig(t)
	next.attach(t)
	next.state = r.state
	want(t, accounts(t, next.open(t)), "/1 1 ended cut")
}

// Accounts that cannot be written are told, and are written when they can be;
// MKA does not wait for them.
func TestUnwritable(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	block := filepath.Join(r.state, "accounts")
	if err := os.WriteFile(block, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	apply(t, c, change(sa.InstallTx, 0, 1), change(sa.DeleteTx, 0, 1))
	c.write(nil)
	if _, _, problem := c.Report(nil, 10); !strings.HasPrefix(problem, writing) || !strings.Contains(r.log.String(), writing) {
		t.Errorf("problem %q, log %s", problem, r.log.String())
	}
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	c.write(nil)
	want(t, accounts(t, c), "/1 0 ended")
	l, err := c.load()
	if err != nil || len(l.Ended) != 1 {
		t.Errorf("%+v, %v", l, err)
	}
}

// The goroutine writes when a key ends, with the key's name.
func TestWrites(t *testing.T) {
	r := newRig(t)
	r.attach(t)
	c := r.open(t)
	asked := make(chan struct{}, 16)
	c.Start(func() map[string]string {
		asked <- struct{}{}
		return map[string]string{change(sa.Encode, 0, 1).SA.Key.String(): "0b"}
	})
	apply(t, c, change(sa.InstallTx, 0, 1))
	<-asked
	apply(t, c, change(sa.DeleteTx, 0, 1))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := c.load()
	if err != nil || len(l.Ended) != 1 || l.Ended[0].CKN != "0b" {
		t.Errorf("%+v, %v", l, err)
	}
}
