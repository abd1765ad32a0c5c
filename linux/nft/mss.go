// Package nft has what linkseal does in nftables, in tables of its own: it clamps
// the MSS of TCP connections that go through tunnels, and fences in what may only
// leave by some interfaces (Fence), and sets the source of packets that leave from an
// unbound socket (Source).
//
// The table of MSS, "linkseal" of family inet, has a chain in each of the hooks
// forward, input and output, and a map from the name of an interface to the
// MSS. SYNs that leave through the interface, or have come in through it, get
// the MSS if theirs is greater: those of this host's connections too. The kernel
// makes none greater, and adds none where there is none.
//
// A Handle belongs to the network namespace of the thread that called Open, for
// good; its methods may be called from any thread.
package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

// Handle is the tables of one network namespace. It is safe for concurrent use.
type Handle struct {
	ns *netns.NS

	mu   sync.Mutex
	last map[string]int // what was read, and set since; nil: not known to be whole
	at   time.Time      // when it was read
}

// trusted is how long what was read is believed, so that many changes in a row do
// not read it all each.
const trusted = time.Second

// Open returns a Handle on the calling thread's network namespace.
func Open() (*Handle, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return &Handle{ns: ns}, nil
}

// Close lets the namespace go; the table stays.
func (h *Handle) Close() error { return h.ns.Close() }

const tableName = "linkseal"

// mssMap is the map's name: a table whose map has another is another
// version's, and made anew.
const mssMap = "mss1"

func table() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

func elements(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, Name: mssMap, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeInetService, KeyByteOrder: binaryutil.NativeEndian}
}

// hooks are the chains, and whether a packet's interface is looked at that it
// came in by, and that it leaves by.
var hooks = []struct {
	name    string
	hook    *nftables.ChainHook
	in, out bool
}{
	{"forward", nftables.ChainHookForward, true, true},
	{"input", nftables.ChainHookInput, true, false},
	{"output", nftables.ChainHookOutput, false, true},
}

// keys are what a chain's rules look up.
func keys(in, out bool) (keys []expr.MetaKey) {
	if in {
		keys = append(keys, expr.MetaKeyIIFNAME)
	}
	if out {
		keys = append(keys, expr.MetaKeyOIFNAME)
	}
	return keys
}

// Of TCP: where the flags are, and the maximum segment size (RFC 9293 3.1, 3.2).
const (
	tcpFlags      = 13 // octets into the header
	tcpSYN        = 0x02
	tcpRST        = 0x04
	optionMSS     = 2
	optionMSSData = 2 // octets into the option
)

// clamp is: tcp flags & (syn|rst) == syn, tcp option maxseg size set KEY map
// @mss1.
func clamp(key expr.MetaKey) []expr.Any {
	const one, two = 1, 2 // registers
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: one},
		&expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: one, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlags, Len: 1},
		&expr.Bitwise{SourceRegister: one, DestRegister: one, Len: 1, Mask: []byte{tcpSYN | tcpRST}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: one, Data: []byte{tcpSYN}},
		&expr.Meta{Key: key, Register: one},
		&expr.Lookup{SourceRegister: one, DestRegister: two, IsDestRegSet: true, SetName: mssMap},
		&expr.Exthdr{Op: expr.ExthdrOpTcpopt, Type: optionMSS, Offset: optionMSSData, Len: 2, SourceRegister: two},
	}
}

// element is the map's of an interface; a name is padded with zeros.
func element(name string, mss int) nftables.SetElement {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return nftables.SetElement{Key: key, Val: binary.BigEndian.AppendUint16(nil, uint16(mss))}
}

// MSS is what is set, by interface. A table that is not whole says nothing, and
// is made anew with the next SetMSS.
func (h *Handle) MSS() (all map[string]int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err = h.do(func(c *nftables.Conn) error { all, _, err = h.read(c); return err })
	if err != nil {
		return nil, fail("MSS", "list", err)
	}
	return maps.Clone(all), nil
}

// read is read, and remembers. The caller has the lock.
func (h *Handle) read(c *nftables.Conn) (all map[string]int, whole bool, err error) {
	all, whole, err = read(c)
	h.last, h.at = nil, time.Now()
	if err == nil && whole {
		h.last = all
	}
	return all, whole, err
}

// known is what was read last, if that is not long ago, else read.
func (h *Handle) known(c *nftables.Conn) (all map[string]int, whole bool, err error) {
	if h.last != nil && time.Since(h.at) < trusted {
		return h.last, true, nil
	}
	return h.read(c)
}

// read tells whether the table is whole; an absent one is not.
func read(c *nftables.Conn) (all map[string]int, whole bool, err error) {
	all = make(map[string]int)
	t, err := c.ListTableOfFamily(tableName, nftables.TableFamilyINet)
	if err != nil {
		if absent(err) {
			err = nil
		}
		return all, false, err
	}
	for _, h := range hooks {
		rules, err := c.GetRules(t, &nftables.Chain{Name: h.name, Table: t})
		if err != nil && !absent(err) {
			return all, false, err
		}
		if len(rules) != len(keys(h.in, h.out)) {
			return all, false, nil
		}
	}
	list, err := c.GetSetElements(elements(t))
	if err != nil {
		if absent(err) {
			err = nil
		}
		return all, false, err
	}
	for _, e := range list {
		if len(e.Val) == 2 {
			all[strings.TrimRight(string(e.Key), "\x00")] = int(binary.BigEndian.Uint16(e.Val))
		}
	}
	return all, true, nil
}

// absent tells the error of a table or set that is not there, in the library's
// words too.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || err != nil && strings.Contains(err.Error(), "not found")
}

// SetMSS has the MSS through the interface called name, which may not be there
// yet, clamped to mss octets, 1 to 65535.
func (h *Handle) SetMSS(name string, mss int) error {
	if name == "" || len(name) >= unix.IFNAMSIZ || mss < 1 || mss > 65535 {
		return fail("MSS", "set", fmt.Errorf("interface %q, MSS %d: a name of 1 to %d octets and 1 to 65535 are accepted", name, mss, unix.IFNAMSIZ-1))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.change(func(c *nftables.Conn) error {
		have, whole, err := h.known(c)
		if err != nil {
			return err
		}
		t := table()
		if !whole {
			create(c, t)
			h.last = make(map[string]int)
		}
		if old, there := have[name]; there && whole {
			if err := c.SetDeleteElements(elements(t), []nftables.SetElement{element(name, old)}); err != nil {
				return err
			}
		}
		if err := c.SetAddElements(elements(t), []nftables.SetElement{element(name, mss)}); err != nil {
			return err
		}
		if err := c.Flush(); err != nil { // all or nothing
			return err
		}
		h.last[name] = mss
		return nil
	})
	if err != nil {
		return fail("MSS", "set "+name, err)
	}
	return nil
}

// change runs f, and once more where it failed with what was remembered.
func (h *Handle) change(f func(*nftables.Conn) error) error {
	remembered := h.last != nil
	err := h.do(f)
	if err != nil && remembered {
		h.last = nil
		err = h.do(f)
	}
	if err != nil {
		h.last = nil
	}
	return err
}

// create makes the table, in the place of one that is there.
func create(c *nftables.Conn, t *nftables.Table) {
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	c.AddTable(t)
	// An error is of a set without a type, or with more elements than fit.
	_ = c.AddSet(elements(t), nil)
	for _, h := range hooks {
		chain := c.AddChain(&nftables.Chain{Name: h.name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: h.hook, Priority: nftables.ChainPriorityMangle})
		for _, key := range keys(h.in, h.out) {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: clamp(key)})
		}
	}
}

// RemoveMSS undoes SetMSS; what is not set is no error. The table goes with the
// last.
func (h *Handle) RemoveMSS(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.change(func(c *nftables.Conn) error {
		have, whole, err := h.known(c)
		if _, there := have[name]; err != nil || !whole || !there {
			return err
		}
		t := table()
		last := len(have) == 1
		if last {
			c.DelTable(t)
		} else if err := c.SetDeleteElements(elements(t), []nftables.SetElement{element(name, have[name])}); err != nil {
			return err
		}
		if err := c.Flush(); err != nil {
			return err
		}
		if delete(h.last, name); last {
			h.last = nil
		}
		return nil
	})
	if err != nil {
		return fail("MSS", "remove "+name, err)
	}
	return nil
}

// do runs f with a connection of its own.
func (h *Handle) do(f func(*nftables.Conn) error) error {
	var c *nftables.Conn
	// Not by WithNetNSFd, which takes CAP_SYS_ADMIN in the namespace that we are in too.
	err := h.ns.Do(func() (err error) {
		c, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(roomy))
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.CloseLasting())
}

func fail(what, op string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, unix.EPERM):
		remedy = "; it needs CAP_NET_ADMIN in the user namespace that owns the network namespace"
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		remedy = "; use a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET and CONFIG_NFT_EXTHDR"
	}
	return fmt.Errorf("nftables: %s: %s: %w%s", what, op, err, remedy)
}
