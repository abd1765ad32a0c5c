package link

import (
	"errors"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

// Handle asks the kernel about the interfaces of one network namespace. It is
// safe for concurrent use.
type Handle struct {
	rtnl *mnl.Conn
	nl   *netlink.Handle // addresses
	ns   *netns.NS
}

// Open returns a Handle on the calling thread's network namespace.
func Open() (*Handle, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	h := &Handle{ns: ns}
	// The goroutine may change threads between the calls; inside Do it does
	// not.
	err = ns.Do(func() (err error) {
		if h.rtnl, err = mnl.Dial(unix.NETLINK_ROUTE, nil); err != nil {
			return err
		}
		h.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("links: rtnetlink: %w", err)
	}
	// Old kernels lack it, and say less for it.
	_ = h.rtnl.SetOption(mnl.ExtendedAcknowledge, true)
	return h, nil
}

// Close releases the sockets. Subscriptions go on.
func (h *Handle) Close() error {
	if h.nl != nil {
		h.nl.Close()
	}
	var err error
	if h.rtnl != nil {
		err = h.rtnl.Close()
	}
	return errors.Join(err, h.ns.Close())
}

// List reports every interface.
func (h *Handle) List() ([]Link, error) {
	for range 5 { // a dump that links came or went in is not to be trusted
		links, whole, err := h.get(info{}, mnl.Dump, nil)
		if err != nil {
			return nil, fail("all", "list", err)
		}
		if whole {
			return links, nil
		}
	}
	return nil, fail("all", "list", errors.New("links come and go faster than a dump takes"))
}

// ByName finds an interface; ErrNotFound if there is none.
func (h *Handle) ByName(name string) (Link, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return Link{}, fail(fmt.Sprintf("%q", name), "find", fmt.Errorf("%w: a name has 1 to %d octets", ErrNotFound, unix.IFNAMSIZ-1))
	}
	return h.one(name, info{}, func(ae *mnl.AttributeEncoder) { ae.String(unix.IFLA_IFNAME, name) })
}

// ByIndex finds an interface; ErrNotFound if there is none.
func (h *Handle) ByIndex(index int) (Link, error) {
	if index <= 0 {
		return Link{}, fail(ifindex(index), "find", ErrNotFound)
	}
	return h.one(ifindex(index), info{index: index}, nil)
}

func (h *Handle) one(name string, i info, attrs func(*mnl.AttributeEncoder)) (Link, error) {
	links, _, err := h.get(i, 0, attrs)
	if err == nil && len(links) != 1 {
		err = ErrNotFound
	}
	if err != nil {
		return Link{}, fail(name, "find", err)
	}
	return links[0], nil
}

func (h *Handle) get(i info, flags mnl.HeaderFlags, attrs func(*mnl.AttributeEncoder)) (links []Link, whole bool, err error) {
	msgs, err := h.execute(unix.RTM_GETLINK, flags, i, attrs)
	if err != nil {
		return nil, false, err
	}
	whole = true
	for _, m := range msgs {
		whole = whole && m.Header.Flags&mnl.DumpInterrupted == 0
		l, ok, err := decodeLink(m.Data)
		if err != nil {
			return nil, false, err
		}
		if ok {
			links = append(links, l)
		}
	}
	return links, whole, nil
}

func (h *Handle) execute(typ mnl.HeaderType, flags mnl.HeaderFlags, i info, attrs func(*mnl.AttributeEncoder)) ([]mnl.Message, error) {
	data, err := i.encode(attrs)
	if err != nil {
		return nil, err
	}
	return h.rtnl.Execute(mnl.Message{
		Header: mnl.Header{Type: typ, Flags: mnl.Request | flags},
		Data:   data,
	})
}

func ifindex(i int) string { return fmt.Sprintf("ifindex %d", i) }

// fail names the interface, the operation and the remedy.
func fail(name, op string, err error) error {
	if errors.Is(err, unix.ENODEV) {
		err = fmt.Errorf("%w (%w)", ErrNotFound, err)
	}
	remedy := ""
	if errors.Is(err, unix.EPERM) {
		remedy = "; it needs CAP_NET_ADMIN in the user namespace that owns the network namespace"
	}
	return fmt.Errorf("link %s: %s: %w%s", name, op, err, remedy)
}
