package route

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

// Handle asks the kernel about the routes of one network namespace. It is safe
// for concurrent use.
type Handle struct {
	conn *mnl.Conn
	ns   *netns.NS
}

// Open returns a Handle on the calling thread's network namespace.
func Open() (*Handle, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	h := &Handle{ns: ns}
	if err := ns.Do(func() (err error) { h.conn, err = mnl.Dial(unix.NETLINK_ROUTE, nil); return err }); err != nil {
		return nil, errors.Join(fmt.Errorf("routes: rtnetlink: %w", err), ns.Close())
	}
	// Old kernels lack them: they say less, and dump all tables.
	_ = h.conn.SetOption(mnl.ExtendedAcknowledge, true)
	_ = h.conn.SetOption(mnl.GetStrictCheck, true)
	return h, nil
}

// Close releases the socket. Subscriptions go on.
func (h *Handle) Close() error { return errors.Join(h.conn.Close(), h.ns.Close()) }

// List returns the routes of a table, in the kernel's order; of all tables if
// table is 0. A family that the kernel does not have has none.
func (h *Handle) List(f Family, table int) ([]Route, error) {
	request := header{family: f}.append(nil)
	if table != 0 {
		ae := mnl.NewAttributeEncoder()
		ae.Uint32(unix.RTA_TABLE, uint32(table))
		attrs, err := ae.Encode()
		if err != nil {
			return nil, fmt.Errorf("%s routes: %w", f, err)
		}
		request = append(request, attrs...)
	}
	var all []Route
	err := h.dump(unix.RTM_GETROUTE, request, func(b []byte) error {
		r, ok, err := decodeRoute(b)
		if ok && FamilyOf(r.Prefix.Addr()) == f && (table == 0 || r.Table == table) {
			all = append(all, r)
		}
		return err
	}, func() { all = nil })
	switch {
	case table != 0 && errors.Is(err, unix.ENOENT): // the table has had no route yet
		return nil, nil
	case err != nil:
		return nil, fail(fmt.Sprintf("%s routes of table %d", f, table), "list", err)
	}
	return all, nil
}

// Rules returns the policy rules of a family, those that come first first.
func (h *Handle) Rules(f Family) ([]Rule, error) {
	var all []Rule
	err := h.dump(unix.RTM_GETRULE, header{family: f}.append(nil), func(b []byte) error {
		r, err := decodeRule(b)
		if err == nil && r.Family == f {
			all = append(all, r)
		}
		return err
	}, func() { all = nil })
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, fail(f.String()+" rules", "list", ErrNoFamily)
	}
	if err != nil {
		return nil, fail(f.String()+" rules", "list", err)
	}
	return all, nil
}

// dump asks again, after anew, while what it gets is not whole.
func (h *Handle) dump(typ mnl.HeaderType, request []byte, each func([]byte) error, anew func()) error {
	for range 5 {
		msgs, err := h.conn.Execute(mnl.Message{Header: mnl.Header{Type: typ, Flags: mnl.Request | mnl.Dump}, Data: request})
		if err != nil {
			return err
		}
		whole := true
		for _, m := range msgs {
			whole = whole && m.Header.Flags&mnl.DumpInterrupted == 0
			if err := each(m.Data); err != nil {
				return err
			}
		}
		if whole {
			return nil
		}
		anew()
	}
	return errors.New("they come and go faster than a dump takes")
}

// Replace puts r into its table, in the place of the one with its prefix and
// metric if there is one, at once. Several interfaces share the packets, by flow.
func (h *Handle) Replace(r Route) error {
	b, err := r.encode(false)
	if err == nil {
		err = h.execute(unix.RTM_NEWROUTE, mnl.Create|mnl.Replace, b)
	}
	if err != nil {
		return fail(fmt.Sprintf("route %s %s in table %d", r.Type, r.Prefix, r.Table), "set", err)
	}
	return nil
}

// Delete takes the route with r's prefix, type and metric out of r's table; an
// absent one is no error.
func (h *Handle) Delete(r Route) error {
	b, err := r.encode(true)
	if err == nil {
		err = h.execute(unix.RTM_DELROUTE, 0, b)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
		return fail(fmt.Sprintf("route %s %s in table %d", r.Type, r.Prefix, r.Table), "delete", err)
	}
	return nil
}

// AddRule has every packet of the family looked up in table, with that priority;
// a rule that is there is no error.
func (h *Handle) AddRule(f Family, priority uint32, table int) error {
	b, err := Rule{Family: f, Priority: priority, Table: table}.encode()
	if err == nil {
		err = h.execute(unix.RTM_NEWRULE, mnl.Create|mnl.Excl, b)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fail(fmt.Sprintf("%s rule %d", f, priority), "add", err)
	}
	return nil
}

// DeleteRule undoes AddRule; an absent rule is no error.
func (h *Handle) DeleteRule(f Family, priority uint32, table int) error {
	b, err := Rule{Family: f, Priority: priority, Table: table}.encode()
	if err == nil {
		err = h.execute(unix.RTM_DELRULE, 0, b)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fail(fmt.Sprintf("%s rule %d", f, priority), "delete", err)
	}
	return nil
}

func (h *Handle) execute(typ mnl.HeaderType, flags mnl.HeaderFlags, data []byte) error {
	_, err := h.conn.Execute(mnl.Message{Header: mnl.Header{Type: typ, Flags: mnl.Request | mnl.Acknowledge | flags}, Data: data})
	return err
}

// hashPolicy is the sysctl of a family's fib_multipath_hash_policy; 1 is by
// addresses, protocol and ports.
func hashPolicy(f Family) string { return "/proc/sys/net/" + f.String() + "/fib_multipath_hash_policy" }

// ByPorts is the hash policy of flows that are told apart by addresses, protocol
// and ports.
const ByPorts = "1"

// HashPolicy is how flows are spread over several nexthops, as the sysctl has it;
// "" of a family that the kernel does not have, which spreads none.
func (h *Handle) HashPolicy(f Family) (policy string, err error) {
	err = h.ns.Do(func() error {
		b, err := os.ReadFile(hashPolicy(f))
		policy = strings.TrimSpace(string(b))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return policy, err
}

// SetHashPolicy has flows spread so in the namespace.
func (h *Handle) SetHashPolicy(f Family, policy string) error {
	err := h.ns.Do(func() error { return os.WriteFile(hashPolicy(f), []byte(policy), 0) })
	if err != nil {
		return fmt.Errorf("%s flows: spread by policy %s: %w; mount /proc/sys writable, or set it beforehand", f, policy, err)
	}
	return nil
}

// fail names the thing, the operation and the remedy.
func fail(what, op string, err error) error {
	remedy := ""
	if errors.Is(err, unix.EPERM) {
		remedy = "; it needs CAP_NET_ADMIN in the user namespace that owns the network namespace"
	}
	return fmt.Errorf("%s: %s: %w%s", what, op, err, remedy)
}
