package probe

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tryPolicy makes a rule and, in its table, what keeps a prefix in.
func tryPolicy() (string, error) {
	const table = 19539
	return "made a rule and an unreachable route in its table", inScratch(func() error {
		r := netlink.NewRule()
		r.Priority, r.Table, r.Family = 5210, table, unix.AF_INET
		if err := netlink.RuleAdd(r); err != nil {
			return fmt.Errorf("add a rule: %w", err)
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: prefix, Table: table, Type: unix.RTN_UNREACHABLE}); err != nil {
			return fmt.Errorf("add an unreachable route: %w", err)
		}
		return nil
	})
}

// prefix is for documentation (RFC 5737).
var prefix = &net.IPNet{IP: net.IPv4(198, 51, 100, 0).To4(), Mask: net.CIDRMask(24, 32)}

// hashPolicy is 1 where flows are spread by addresses, protocol and ports.
const hashPolicy = "/proc/sys/net/ipv4/fib_multipath_hash_policy"

func tryMultipath() (string, error) {
	return "made a route with two ways, spread by ports", inVeth(func(a netlink.Link) error {
		b, err := netlink.LinkByName(vethB)
		if err != nil {
			return fmt.Errorf("find %s: %w", vethB, err)
		}
		ways := []*netlink.NexthopInfo{{LinkIndex: a.Attrs().Index}, {LinkIndex: b.Attrs().Index}}
		if err := netlink.RouteAdd(&netlink.Route{Dst: prefix, MultiPath: ways, Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("add a route with two ways: %w", err)
		}
		return os.WriteFile(hashPolicy, []byte("1"), 0)
	})
}

// tryNFT makes a rule that looks at TCP's maximum segment size.
func tryNFT() (string, error) {
	return "made a rule on the maximum segment size", inScratch(func() error {
		c, err := nftables.New()
		if err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
		t := c.AddTable(&nftables.Table{Name: "probe", Family: nftables.TableFamilyINet})
		chain := c.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityMangle})
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{&expr.Exthdr{Op: expr.ExthdrOpTcpopt, Type: 2, Offset: 2, Len: 2, DestRegister: 1}}})
		if err := c.Flush(); err != nil {
			return fmt.Errorf("add a table of family inet: %w", err)
		}
		return nil
	})
}

// Where distributions have charon and its plugins.
var (
	charonPrograms = []string{"/usr/sbin/charon-systemd", "/usr/libexec/ipsec/charon", "/usr/lib/ipsec/charon"}
	charonPlugins  = []string{"/usr/lib/ipsec/plugins", "/usr/lib/strongswan/plugins", "/usr/lib64/ipsec/plugins", "/usr/lib64/strongswan/plugins"}
)

// What charon has to have for linkseal, and what of it does ESP in user space.
var (
	pluginsNeeded = strings.Fields("random nonce openssl pem pkcs1 pkcs8 x509 pubkey revocation constraints hmac kdf kernel-netlink socket-default vici")
	pluginsOfUser = []string{"kernel-libipsec"}
)

// lookCharon looks for charon and the plugins. It is not run: whatever it is
// asked, it starts to serve.
func lookCharon(programs, dirs, plugins []string) func() (string, error) {
	return func() (string, error) {
		i := slices.IndexFunc(programs, func(path string) bool { return unix.Access(path, unix.X_OK) == nil })
		if i < 0 {
			return "", fmt.Errorf("there is none of %s", strings.Join(programs, ", "))
		}
		var missing []string
		for _, p := range plugins {
			if !slices.ContainsFunc(dirs, func(dir string) bool {
				return unix.Access(filepath.Join(dir, "libstrongswan-"+p+".so"), unix.R_OK) == nil
			}) {
				missing = append(missing, p)
			}
		}
		if len(missing) > 0 {
			return "", fmt.Errorf("%s has no plugin %s in %s", programs[i], strings.Join(missing, ", "), strings.Join(dirs, ", "))
		}
		return fmt.Sprintf("%s is there, with what it needs of plugins", programs[i]), nil
	}
}
