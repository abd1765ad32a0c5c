// Package probe finds out what this machine can do by trying it: a feature
// counts as present when the kernel has just done what linkseal will ask of
// it, in a network namespace that is thrown away afterwards. Version numbers
// are only for the reader: vendors backport, and options are compiled out.
package probe

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Feature is one thing that linkseal needs of a machine. Features are
// comparable and can be map keys.
type Feature int

// The features.
const (
	NetNS       Feature = iota // network namespaces
	Veth                       // virtual Ethernet pairs
	Bridge                     // Ethernet bridge
	VLAN                       // 802.1Q devices
	TUN                        // tun and tap devices
	Tap                        // taps with several queues and virtio-net headers
	Netem                      // delay, loss and reordering in tests
	AFPacket                   // raw Ethernet sockets: EAPOL, rings
	MACsec                     // MACsec devices
	MACsecGCM                  // installing a GCM-AES SA in a MACsec device
	MACsecXPN                  // extended packet numbering suites
	Clsact                     // clsact qdisc with cls_bpf in direct action
	TCX                        // BPF links on tc hooks
	BPF                        // loading BPF programs and maps
	BPFFS                      // pinning at /sys/fs/bpf
	BTF                        // kernel types at /sys/kernel/btf/vmlinux
	XDPGeneric                 // XDP in the stack
	XDPNative                  // XDP in the driver, tried on veth
	AFXDP                      // XDP sockets
	XFRM                       // ESP states with AES-GCM
	XFRMI                      // xfrm interfaces
	WireGuard                  // WireGuard devices
	Policy                     // routing tables chosen by rules
	Multipath                  // routes with several ways, spread by ports
	NFT                        // nftables that look at TCP options
	Charon                     // strongSwan's charon with the plugins for IKEv2
	CharonESP                  // its plugin for ESP in user space
	TPM                        // a TPM 2.0 behind the resource manager
	MemLock                    // memory that is not swapped out
	ClockSane                  // a wall clock that is not in the past
	ClockSync                  // a wall clock that something disciplines
	CapNetAdmin                // permission to change the network
	CapNetRaw                  // permission for raw sockets
	CapBPF                     // permission to load BPF
	CapSysAdmin                // permission to enter and make namespaces
	featureCount
)

// Result is the outcome of a check. Detail says what was tried and seen;
// Remedy, empty when OK, says what to do about it. Unknown tells that it was not tried,
// so that OK says nothing.
type Result struct {
	OK      bool
	Unknown bool
	Detail  string
	Remedy  string
}

// row is what is known of a feature before it is tried.
type row struct {
	id     string  // for scripts; never changes
	name   string  // for people
	since  Version // the kernel that brought it
	remedy string
	// always marks what every kernel since then has, whatever its options,
	// once BPF works: if it is missing there, something is broken.
	always bool
	try    func() (string, error)
}

var table = [featureCount]row{
	NetNS:      {"netns", "network namespaces", Version{2, 6, 29}, "use a kernel with CONFIG_NET_NS", false, tryNetNS},
	Veth:       {"veth", "veth", Version{2, 6, 24}, "use a kernel with CONFIG_VETH", false, tryVeth},
	Bridge:     {"bridge", "bridge", Version{2, 6, 0}, "use a kernel with CONFIG_BRIDGE", false, tryKind("bridge")},
	VLAN:       {"vlan", "802.1Q", Version{2, 6, 0}, "use a kernel with CONFIG_VLAN_8021Q", false, tryVLAN},
	TUN:        {"tun", "tun/tap", Version{2, 6, 27}, "use a kernel with CONFIG_TUN, and have /dev/net/tun", false, tryTUN},
	Tap:        {"tap", "tap queues", Version{5, 0, 0}, "use Linux 5.0 or later with CONFIG_TUN, and have /dev/net/tun", false, tryTap},
	Netem:      {"netem", "netem", Version{2, 6, 8}, "use a kernel with CONFIG_NET_SCH_NETEM", false, tryNetem},
	AFPacket:   {"af_packet", "AF_PACKET", Version{2, 2, 0}, "use a kernel with CONFIG_PACKET, and grant CAP_NET_RAW", false, tryPacket},
	MACsec:     {"macsec", "MACsec", Version{4, 6, 0}, "use a kernel with CONFIG_MACSEC (Debian: linux-image-amd64), or dataplane: userspace", false, tryMACsec},
	MACsecGCM:  {"macsec_gcm", "MACsec gcm(aes)", Version{4, 6, 0}, "load the modules macsec and gcm (CONFIG_MACSEC, CONFIG_CRYPTO_GCM)", false, tryMACsecGCM},
	MACsecXPN:  {"macsec_xpn", "MACsec XPN", Version{5, 7, 0}, "use Linux 5.7 or later with CONFIG_MACSEC, or a cipher without xpn", false, tryMACsecXPN},
	Clsact:     {"clsact", "clsact, cls_bpf", Version{4, 5, 0}, "use a kernel with CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF and CONFIG_NET_CLS_ACT", false, tryClsact},
	TCX:        {"tcx", "tcx", Version{6, 6, 0}, "none needed: clsact with cls_bpf does the same on kernels before 6.6", true, tryTCX},
	BPF:        {"bpf", "BPF programs", Version{4, 1, 0}, "use a kernel with CONFIG_BPF_SYSCALL, and grant CAP_BPF and CAP_NET_ADMIN", false, tryBPF},
	BPFFS:      {"bpffs", "BPF file system", Version{4, 4, 0}, "mount it: mount -t bpf bpf /sys/fs/bpf", false, tryBPFFS},
	BTF:        {"btf", "BTF", Version{5, 4, 0}, "use a kernel with CONFIG_DEBUG_INFO_BTF", false, tryBTF},
	XDPGeneric: {"xdp_generic", "XDP generic", Version{4, 12, 0}, "use Linux 5.9 or later with CONFIG_BPF_SYSCALL", true, tryXDPGeneric},
	XDPNative:  {"xdp_native", "XDP native", Version{4, 19, 0}, "use a driver with XDP; generic XDP works without, slower", true, tryXDPNative},
	AFXDP:      {"af_xdp", "AF_XDP", Version{4, 18, 0}, "use a kernel with CONFIG_XDP_SOCKETS", false, tryAFXDP},
	XFRM:       {"xfrm", "xfrm ESP", Version{2, 6, 25}, "use a kernel with CONFIG_XFRM_USER, CONFIG_INET_ESP and CONFIG_CRYPTO_GCM, or dataplane: userspace for one tunnel", false, tryXFRM},
	XFRMI:      {"xfrm_interface", "xfrm interface", Version{4, 19, 0}, "use a kernel with CONFIG_XFRM_INTERFACE", false, tryXFRMI},
	WireGuard:  {"wireguard", "WireGuard", Version{5, 6, 0}, "use a kernel with CONFIG_WIREGUARD, or dataplane: userspace, which has its own", false, tryKind("wireguard")},
	Policy:     {"policy_routing", "policy routing", Version{2, 6, 0}, "use a kernel with CONFIG_IP_MULTIPLE_TABLES", false, tryPolicy},
	Multipath:  {"fib_multipath", "multipath routes", Version{4, 12, 0}, "use a kernel with CONFIG_IP_ROUTE_MULTIPATH, and have /proc/sys writable; or count: 1", false, tryMultipath},
	NFT:        {"nftables", "nftables", Version{4, 14, 0}, "use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET (modprobe nf_tables), or mss: 0", false, tryNFT},
	Charon:     {"charon", "charon", Version{}, "install charon-systemd and libstrongswan-standard-plugins (Debian), strongswan elsewhere; its own service is not needed", false, lookCharon(charonPrograms, charonPlugins, pluginsNeeded)},
	CharonESP:  {"charon_libipsec", "charon kernel-libipsec", Version{}, "install libcharon-extra-plugins (Debian), or a kernel with ESP", false, lookCharon(charonPrograms, charonPlugins, pluginsOfUser)},
	TPM:        {"tpm", "TPM 2.0", Version{4, 12, 0}, "enable the TPM in the firmware or the virtual machine; nothing needs it today", false, tryTPM},
	MemLock:    {"memlock", "locked memory", Version{2, 6, 9}, "raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit, ulimit -l), or grant CAP_IPC_LOCK; else keys may be swapped out", false, tryMemLock},
	ClockSane:  {"clock_sane", "clock", Version{}, "set the time: key windows are compared with it", false, tryClockSane},
	ClockSync:  {"clock_synchronised", "clock synchronised", Version{}, "run chrony or systemd-timesyncd", false, tryClockSync},

	CapNetAdmin: {"cap_net_admin", "CAP_NET_ADMIN", Version{2, 2, 0}, "run as root, or AmbientCapabilities=CAP_NET_ADMIN", false, tryCap("CAP_NET_ADMIN", unix.CAP_NET_ADMIN)},
	CapNetRaw:   {"cap_net_raw", "CAP_NET_RAW", Version{2, 2, 0}, "run as root, or AmbientCapabilities=CAP_NET_RAW", false, tryCap("CAP_NET_RAW", unix.CAP_NET_RAW)},
	CapBPF:      {"cap_bpf", "CAP_BPF", Version{5, 8, 0}, "run as root, or AmbientCapabilities=CAP_BPF", false, tryCap("CAP_BPF", unix.CAP_BPF)},
	CapSysAdmin: {"cap_sys_admin", "CAP_SYS_ADMIN", Version{2, 2, 0}, "run as root; reading a must-secure port's filter back needs it, and so do the lab and doctor's trials", false, tryCap("CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN)},
}

// All returns every feature, in the order in which doctor lists them.
func All() []Feature {
	all := make([]Feature, featureCount)
	for i := range all {
		all[i] = Feature(i)
	}
	return all
}

// String is the feature's name for people.
func (f Feature) String() string {
	if f < 0 || f >= featureCount {
		return fmt.Sprintf("Feature(%d)", int(f))
	}
	return table[f].name
}

// ID is the feature's name for scripts, in snake_case.
func (f Feature) ID() string { return table[f].id }

// ByID finds a feature by its ID.
func ByID(id string) (Feature, bool) {
	for f := range featureCount {
		if table[f].id == id {
			return f, true
		}
	}
	return 0, false
}

// Since is the kernel version that brought the feature; zero for what does
// not depend on the kernel.
func (f Feature) Since() Version { return table[f].since }

// Unexpected reports whether a missing f means that something is broken, not
// that the kernel is too old or built without an option: this kernel is as new
// as Since, and every such kernel that loads BPF has f.
func (f Feature) Unexpected() bool {
	v, err := Kernel()
	return err == nil && table[f].always && !v.Before(table[f].since) && BPF.Check().OK
}

// Check tries the feature. It takes from microseconds to some milliseconds,
// and leaves nothing behind but a module that the kernel may have loaded.
func (f Feature) Check() Result {
	r := table[f]
	detail, err := r.try()
	if err == nil {
		return Result{OK: true, Detail: detail}
	}
	res := Result{Detail: err.Error(), Remedy: r.remedy}
	if errors.Is(err, fs.ErrPermission) {
		res.Remedy = "run as root: " + res.Remedy
	}
	if v, kerr := Kernel(); kerr == nil && v.Before(r.since) {
		res.Detail += fmt.Sprintf(" (Linux %s; since %s)", v, r.since)
	}
	return res
}
