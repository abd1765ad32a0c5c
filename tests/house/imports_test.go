package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rule forbids packages to depend on others, directly or through others.
type rule struct {
	of     []string // packages of the module, with all below them
	except []string // but not these
	not    []string // import paths, with all below them; "./x" is in the module
	direct bool     // only what they import themselves
	why    string
}

var rules = []rule{
	{
		of: []string{"linux", "bpf"}, not: []string{"./dataplane", "./keymgmt", "./cmd", "./tests"},
		why: "access to the kernel is a tool: it must not know who uses it, so that it can be tested and used alone",
	},
	{
		of: []string{"keymgmt/mka", "keymgmt/keychain", "keymgmt/secret", "keymgmt/sa", "keymgmt/rotate/course", "dataplane/plan", "dataplane/account", "dataplane/overlay/wireguard/rollover", "dataplane/overlay/ipsec/suite", "dataplane/overlay/ipsec/conn", "dataplane/overlay/ipsec/diagnose", "dataplane/overlay/ipsec/rotation"},
		// locked is where pages come from: mmap, mlock, madvise, and nothing
		// else of the machine.
		except: []string{"keymgmt/secret/locked"},
		not:    []string{"net", "os", "syscall", "golang.org/x/sys", "golang.org/x/net", "github.com/vishvananda", "github.com/mdlayher", "github.com/cilium/ebpf"}, direct: true,
		why: "pure: a test feeds all that they see, and two runs on the same input do the same",
	},
	{
		of: []string{"dataplane/overlay"}, except: []string{"dataplane/overlay/wireguard", "dataplane/overlay/ipsec", "dataplane/overlay/probing"},
		not: []string{"net", "os", "syscall", "log", "golang.org/x/sys", "golang.org/x/net", "github.com/vishvananda", "github.com/mdlayher", "github.com/cilium/ebpf"}, direct: true,
		why: "the seam between who makes a tunnel's place and what encrypts: both know it, and it knows neither",
	},
	{
		of: []string{"dataplane/softsecy"}, except: []string{"dataplane/softsecy/device"},
		not: []string{"net", "os", "syscall", "log", "golang.org/x/sys", "golang.org/x/net"}, direct: true,
		why: "pure: frames go in and come out; whoever has the sockets gives them",
	},
	{
		of: []string{"dataplane/softsecy"}, except: []string{"dataplane/softsecy/device"},
		not: []string{"./linux", "./bpf", "./dataplane/reconcile", "./keymgmt/mka", "./keymgmt/kay", "github.com/vishvananda", "github.com/mdlayher", "github.com/cilium/ebpf"},
		why: "pure: nothing that it reaches may touch the machine either",
	},
	{
		of: []string{"keymgmt/mka", "keymgmt/keychain", "keymgmt/rotate/course", "dataplane/plan", "dataplane/account", "dataplane/overlay/wireguard/rollover", "dataplane/overlay/ipsec/suite", "dataplane/overlay/ipsec/conn", "dataplane/overlay/ipsec/diagnose", "dataplane/overlay/ipsec/rotation"}, not: []string{"log"}, direct: true,
		why: "what they have to tell is in what they return; secret alone knows slog, so as not to print in it",
	},
	{
		of:  []string{"keymgmt/mka", "keymgmt/keychain", "keymgmt/secret", "keymgmt/sa", "keymgmt/rotate/course", "dataplane/plan", "dataplane/account", "dataplane/overlay/wireguard/rollover", "dataplane/overlay/ipsec/suite", "dataplane/overlay/ipsec/diagnose", "dataplane/overlay/ipsec/rotation"},
		not: []string{"./linux", "./bpf", "./cmd", "./dataplane/secy", "./dataplane/reconcile", "./dataplane/softsecy", "./dataplane/config", "./dataplane/status", "./keymgmt/kay", "./keymgmt/file", "github.com/vishvananda", "github.com/mdlayher", "github.com/cilium/ebpf"},
		why: "pure: nothing that they reach may touch the machine either",
	},
	{
		of: []string{"keymgmt/mka/mkpdu", "keymgmt/mka/kdf", "keymgmt/secret", "keymgmt/sa"}, not: []string{"./keymgmt/kay", "./keymgmt/file", "./keymgmt/keychain", "./dataplane"},
		why: "leaves: they are what the others are made of",
	},
	{
		of: []string{"keymgmt"}, not: []string{"./dataplane", "./cmd", "./tests"},
		why: "keys do not know what encrypts with them: the KaY states the SecY that it needs as an interface",
	},
	{
		of: []string{"dataplane"}, not: []string{"./cmd", "./tests"},
		why: "the binary wires; nothing depends on it",
	},
	{
		of: []string{"dataplane", "keymgmt", "linux", "bpf"}, not: []string{"./images"},
		why: "linkseal runs on any Debian: what is of the appliance image alone is known to the verbs, and to nothing else",
	},
	{
		of: []string{"images"}, not: []string{"./cmd", "./tests", "./bpf", "./dataplane/reconcile", "./dataplane/plan", "./dataplane/secy", "./dataplane/softsecy", "./dataplane/overlay", "./keymgmt/mka", "./keymgmt/kay", "./keymgmt/keyvault"}, direct: true,
		why: "an image asks the daemon and reads its file; it does not do the daemon's work",
	},
	{
		of: []string{"images/part"}, not: []string{"net", "os", "syscall", "log", "golang.org/x/sys"}, direct: true,
		why: "pure: what it reads may be a partition or a file, or be made up",
	},
	{
		of: []string{""}, except: []string{"images/bundle"}, not: []string{"aead.dev/minisign", "github.com/klauspost/compress"}, direct: true,
		why: "the format of updates has one door: what it is signed and packed with is nobody else's matter",
	},
	{
		of: []string{"dataplane/config"}, not: []string{"./dataplane/plan", "./dataplane/reconcile", "./dataplane/secy", "./linux", "./bpf", "./keymgmt/mka/mkpdu"},
		why: "the file's types stay apart from the domain's and the kernel's: what is written is not what is done",
	},
	{
		of: []string{"dataplane", "keymgmt", "linux", "bpf", "cmd"}, not: []string{"testing"},
		except: []string{"linux/probe/probetest", "linux/broker/brokertest"},
		why:    "what ships must not carry the testing package and its flags",
	},
	{
		of: []string{""}, except: []string{"keymgmt/keyvault"}, not: []string{"github.com/Azure"}, direct: true,
		why: "the Azure SDK has one door, so that it can be replaced",
	},
	{
		of: []string{""}, except: []string{"keymgmt/sealed/tpm"}, not: []string{"github.com/google/go-tpm"}, direct: true,
		why: "the TPM has one door: what can be sealed without one does not know its words",
	},
	{
		of: []string{""}, except: []string{"dataplane/status/metrics"}, not: []string{"github.com/prometheus"}, direct: true,
		why: "metrics are made of a status, in one place: what is not in the status cannot be in them",
	},
}

func TestImportDirection(t *testing.T) {
	for _, r := range rules {
		for _, p := range packages(t) {
			if !r.covers(p.short()) {
				continue
			}
			for _, found := range r.breaches(p) {
				t.Errorf("%s depends on %s\n\t%s", p.ImportPath, found, r.why)
			}
		}
	}
}

func (r rule) covers(short string) bool {
	return (within(short, r.of...) || slices.Contains(r.of, "")) && !within(short, r.except...)
}

func (r rule) breaches(p *pkg) []string {
	deps := p.Deps
	if r.direct {
		deps = p.Imports
	}
	var bad []string
	for _, d := range deps {
		for _, n := range r.not {
			if rest, own := strings.CutPrefix(n, "./"); own {
				n = module + "/" + rest
			}
			if within(d, n) && !r.covered(d) && !allowed[n+" "+d] {
				bad = append(bad, d)
			}
		}
	}
	return bad
}

// covered reports whether dep is one of the packages that the rule is about:
// packages may depend on their likes.
func (r rule) covered(dep string) bool {
	short, own := strings.CutPrefix(dep, module+"/")
	return own && within(short, r.of...) && !within(short, r.except...)
}

// allowed are below a forbidden path and harmless: addresses are values.
var allowed = map[string]bool{"net net/netip": true}

// A rule that is about no package, or that nothing could break, says nothing.
func TestRulesBite(t *testing.T) {
	for i, r := range rules {
		if r.why == "" {
			t.Errorf("rule %d has no reason", i)
		}
		p := &pkg{ImportPath: module + "/" + r.of[0] + "/x"}
		if r.of[0] == "" {
			p.ImportPath = module + "/x"
		}
		for _, n := range r.not {
			path := n
			if rest, own := strings.CutPrefix(n, "./"); own {
				path = module + "/" + rest
			}
			p.Deps, p.Imports = []string{path}, []string{path}
			if !r.covers(p.short()) || len(r.breaches(p)) != 1 {
				t.Errorf("rule %d (%s) lets %s import %s", i, r.why, p.short(), n)
			}
		}
	}
	ok := &pkg{ImportPath: module + "/keymgmt/mka", Imports: []string{"net/netip"}}
	if bad := rules[1].breaches(ok); len(bad) != 0 {
		t.Errorf("net/netip is refused: %v", fmt.Sprint(bad))
	}
}
