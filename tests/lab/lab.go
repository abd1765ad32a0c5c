package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/tests/azure"
)

// Device and Interface are the port and the MACsec device of every appliance.
const (
	Device    = "eth1"
	Interface = "macsec1"
)

// made numbers the labs of this process: there may be several at a time.
var made atomic.Int64

// Lab is a set of appliances on one link.
type Lab struct {
	Dir        string // temporary; removed by Close
	Appliances []*Appliance
	bridge     *netns.NS
	cloud      *azure.Cloud
	pairs      int // put into its vault
	options    Options
}

// Options say how a Lab is built.
type Options struct {
	// Names of the appliances. Two are joined by a cable (veth), more by a
	// bridge.
	Names []string
	// Bridge joins two by a bridge too.
	Bridge bool
	// Middle leaves the two cables unjoined: Forward is between.
	Middle bool
	// MTU of the ports; 0: 1600.
	MTU int
	// IPv6 leaves the ports to speak it, in clear, until linkseal closes them;
	// else they are silent, and all that is in clear is linkseal's fault.
	IPv6 bool
	// Binary is the linkseal that appliances run.
	Binary string
}

// New builds the namespaces and the cabling. Nothing runs yet.
func New(o Options) (l *Lab, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root: run it with sudo")
	}
	if o.MTU == 0 {
		o.MTU = 1600
	}
	l = &Lab{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
			l = nil
		}
	}()
	if l.Dir, err = os.MkdirTemp("", "linkseal-lab-"); err != nil {
		return l, err
	}
	number := made.Add(1)
	for i, name := range o.Names {
		ns, err := netns.New(fmt.Sprintf("ls%d.%d-%s", os.Getpid(), number, name))
		if err != nil {
			return l, err
		}
		a := &Appliance{
			Name: name, NS: ns, binary: o.Binary, Dir: filepath.Join(l.Dir, name),
			MAC:     net.HardwareAddr{0x02, 0, 0, 0, 0, byte(0x0a + i)},
			Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24),
		}
		l.Appliances = append(l.Appliances, a)
		if err := os.Mkdir(a.Dir, 0o700); err != nil {
			return l, err
		}
	}
	if len(o.Names) == 2 && !o.Bridge && !o.Middle {
		err = l.cable(o)
	} else {
		err = l.switched(o)
	}
	if err != nil {
		return l, fmt.Errorf("lab: cabling: %w", err)
	}
	return l, nil
}

// cable joins the two appliances back to back.
func (l *Lab) cable(o Options) error {
	a, b := l.Appliances[0], l.Appliances[1]
	return a.NS.Do(func() error {
		if err := veth(Device, a.MAC, o.MTU, Device, b.MAC, b.NS); err != nil {
			return err
		}
		return errors.Join(o.wake(), b.NS.Do(o.wake))
	})
}

// switched joins all appliances by a bridge that forwards the PAE group
// address, as a provider's circuit does.
func (l *Lab) switched(o Options) (err error) {
	if l.bridge, err = netns.New(""); err != nil {
		return err
	}
	return l.bridge.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = "br0", o.MTU
		snooping := false // it makes the bridge speak IGMP
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		// Only what appliances send may be on the wire.
		if err := errors.Join(silence("br0"), up("br0")); err != nil {
			return err
		}
		for i := range l.Appliances {
			if err := l.plug(i, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// plug puts a cable between appliance i and the bridge, in whose namespace it
// is called.
func (l *Lab) plug(i int, o Options) error {
	a, port := l.Appliances[i], fmt.Sprintf("p%d", i)
	br, err := netlink.LinkByName("br0")
	if err != nil {
		return err
	}
	if err := veth(port, nil, o.MTU, Device, a.MAC, a.NS); err != nil {
		return err
	}
	p, err := netlink.LinkByName(port)
	if err != nil {
		return err
	}
	if o.Middle {
		return errors.Join(silence(port), netlink.SetPromiscOn(p), up(port), a.NS.Do(o.wake))
	}
	return errors.Join(silence(port), netlink.LinkSetMaster(p, br), forwardPAE(p), up(port), a.NS.Do(o.wake))
}

// Recable gives appliance i a port in place of one that was removed.
func (l *Lab) Recable(i int) error {
	return l.bridge.Do(func() error { return l.plug(i, l.options) })
}

// wake sets an appliance's links up.
func (o Options) wake() error {
	if !o.IPv6 {
		if err := silence(Device); err != nil {
			return err
		}
	}
	return errors.Join(up("lo"), up(Device))
}

func silence(device string) error {
	h, err := link.Open()
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.ByName(device)
	if err != nil {
		return err
	}
	return h.DisableIPv6(l.Index)
}

// forwardPAE lets a bridge port forward 01-80-C2-00-00-03, which 802.1D keeps
// to a link: a provider's circuit is transparent to it. IFLA_BRPORT_GROUP_FWD_MASK
// has a bit an address; the bridge itself refuses it, a port does not.
func forwardPAE(link netlink.Link) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	protinfo := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	protinfo.AddRtAttr(nl.IFLA_BRPORT_GROUP_FWD_MASK, nl.Uint16Attr(1<<3))
	req.AddData(protinfo)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// port is the bridge's end of appliance i's cable.
func (l *Lab) port(i int, f func(netlink.Link) error) error {
	return l.bridge.Do(func() error {
		link, err := netlink.LinkByName(fmt.Sprintf("p%d", i))
		if err != nil {
			return err
		}
		return f(link)
	})
}

// SetCarrier takes appliance i's carrier away at the bridge, or gives it back.
func (l *Lab) SetCarrier(i int, on bool) error {
	if on {
		return l.port(i, netlink.LinkSetUp)
	}
	return l.port(i, netlink.LinkSetDown)
}

// Cut interrupts the bridge, or joins it again: no frame crosses, and no
// appliance loses its carrier.
func (l *Lab) Cut(cut bool) error {
	return l.bridge.Do(func() error {
		br, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		if cut {
			return netlink.LinkSetDown(br)
		}
		return netlink.LinkSetUp(br)
	})
}

// DoNotLearn keeps the bridge from learning addresses from appliance i: it may
// send in others' names without drawing their frames to itself.
func (l *Lab) DoNotLearn(i int) error {
	return l.port(i, func(p netlink.Link) error { return netlink.LinkSetLearning(p, false) })
}

func veth(name string, mac net.HardwareAddr, mtu int, peer string, peerMAC net.HardwareAddr, peerNS *netns.NS) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = name, mtu, mac
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerHardwareAddr: peerMAC, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(peerNS.Fd())}
	if err := netlink.LinkAdd(v); err != nil {
		return fmt.Errorf("veth %s to %s: %w", name, peer, err)
	}
	return nil
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// Close stops the appliances and removes all that New made.
func (l *Lab) Close() error {
	var errs []error
	for _, a := range l.Appliances {
		errs = append(errs, a.Stop(context.Background()), a.endCharon())
	}
	if l.cloud != nil {
		errs = append(errs, l.cloud.Close())
	}
	for _, a := range l.Appliances {
		errs = append(errs, a.NS.Close())
	}
	if l.bridge != nil {
		errs = append(errs, l.bridge.Close())
	}
	if l.Dir != "" {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	l.Appliances, l.bridge, l.cloud = nil, nil, nil
	return errors.Join(errs...)
}
