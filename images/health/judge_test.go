package health_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/health"
)

// good are the facts of a machine that holds.
func good() health.Facts {
	return health.Facts{
		Active: reached, SSH: true, Enforced: []string{"port link1", "tunnel hub1"}, MustPorts: []string{"link1"}, MustTunnels: []string{"hub1"},
		Configured: true, Ports: []string{"link1", "link2"}, Tunnels: []string{"hub1"},
		SecuredPorts: []string{"link1"}, SecuredTunnels: []string{"hub1"},
		Problems: map[string]string{"port link2": "down", "port link1": "unsecured; no peer is live", "tunnel hub1": "unsecured"},
	}
}

var reached = []string{"nftables.service", "ssh.service", "systemd-networkd.service"}

func TestJudge(t *testing.T) {
	before := func() *health.Record {
		return &health.Record{Configured: true, Ports: []string{"link1"}, Tunnels: []string{"hub1"}}
	}
	for name, c := range map[string]struct {
		before *health.Record
		spoil  func(f *health.Facts)
		want   []string // what each reason begins with
	}{
		"all is well":                     {before(), func(*health.Facts) {}, nil},
		"nothing is known of before":      {nil, func(f *health.Facts) { f.SecuredPorts, f.SecuredTunnels = nil, nil }, nil},
		"not verified":                    {before(), func(f *health.Facts) { f.Root = errors.New("no device") }, []string{"the root is not verified: no device"}},
		"/var is full":                    {before(), func(f *health.Facts) { f.Var = errors.New("full") }, []string{"/var cannot be written: full"}},
		"a failed unit":                   {before(), func(f *health.Facts) { f.Failed = []string{"linkseal-firewall.service"} }, []string{"units have failed: linkseal-firewall.service"}},
		"any failed unit":                 {before(), func(f *health.Facts) { f.Failed = []string{"dbus.service"} }, []string{"units have failed: dbus.service"}},
		"one that had failed":             {&health.Record{Failed: []string{"x.service"}}, func(f *health.Facts) { f.Failed = []string{"x.service", "y.mount"} }, []string{"units have failed: y.mount"}},
		"no network":                      {nil, func(f *health.Facts) { f.Active = reached[:2] }, []string{"systemd-networkd.service is not active"}},
		"no filter":                       {nil, func(f *health.Facts) { f.Active = reached[1:] }, []string{"nftables.service is not active"}},
		"no SSH, which was":               {&health.Record{Active: reached}, func(f *health.Facts) { f.Active = []string{reached[0], reached[2]} }, []string{"ssh.service is not active"}},
		"no SSH, and there was none":      {before(), func(f *health.Facts) { f.Active = []string{reached[0], reached[2]} }, nil},
		"SSH was taken away":              {&health.Record{Active: reached}, func(f *health.Facts) { f.Active, f.SSH = []string{reached[0], reached[2]}, false }, nil},
		"no broker, which was":            {&health.Record{Active: []string{"linkseal-broker.service"}}, func(*health.Facts) {}, []string{"linkseal-broker.service is not active, and was"}},
		"a port not closed again":         {&health.Record{Enforced: []string{"port link1", "tunnel hub1"}}, func(f *health.Facts) { f.Enforced = []string{"tunnel hub1"} }, []string{"port link1 was closed to all"}},
		"a tunnel not closed again":       {&health.Record{Enforced: []string{"port link1", "tunnel hub1"}}, func(f *health.Facts) { f.Enforced = []string{"port link1"} }, []string{"tunnel hub1 was closed to all"}},
		"nothing closed again":            {&health.Record{Enforced: []string{"port link1", "tunnel hub1"}}, func(f *health.Facts) { f.Enforced = nil }, []string{"port link1 was closed", "tunnel hub1 was closed"}},
		"one that may be in clear now":    {&health.Record{Enforced: []string{"port link1"}}, func(f *health.Facts) { f.Enforced, f.MustPorts = nil, nil }, nil},
		"lost, and all is secured":        {&health.Record{Lost: true}, func(*health.Facts) {}, nil},
		"lost, and nothing is":            {&health.Record{Lost: true}, func(f *health.Facts) { f.SecuredPorts, f.SecuredTunnels = nil, nil }, []string{"port link1 has to be secured, as what was before", "tunnel hub1 has to be"}},
		"systemd is silent":               {before(), func(f *health.Facts) { f.Units, f.Active = errors.New("bus"), nil }, []string{"systemd does not tell"}},
		"no daemon":                       {before(), func(f *health.Facts) { f.Daemon = errors.New("no daemon answers") }, []string{"the daemon does not answer: no daemon answers"}},
		"no daemon, and never secured":    {nil, func(f *health.Facts) { f.Daemon = errors.New("x") }, []string{"the daemon does not answer"}},
		"a port not secured again":        {before(), func(f *health.Facts) { f.SecuredPorts = nil }, []string{"port link1 was secured before the update, and is not: unsecured; no peer is live"}},
		"a tunnel not secured again":      {before(), func(f *health.Facts) { f.SecuredTunnels = nil }, []string{"tunnel hub1 was secured before"}},
		"a port of the tunnel's name":     {before(), func(f *health.Facts) { f.SecuredPorts, f.SecuredTunnels = []string{"link1", "hub1"}, nil }, []string{"tunnel hub1 was secured before"}},
		"a port that the daemon forgot":   {before(), func(f *health.Facts) { f.SecuredPorts, f.Problems = nil, nil }, []string{"port link1 was secured before the update, and is not: its state says no more"}},
		"a port that was taken out":       {before(), func(f *health.Facts) { f.SecuredPorts, f.Ports = nil, []string{"link2"} }, nil},
		"the configuration is gone":       {before(), func(f *health.Facts) { *f = health.Facts{Active: reached} }, []string{"the configuration is gone"}},
		"there was none, and is none":     {&health.Record{}, func(f *health.Facts) { *f = health.Facts{Active: reached} }, nil},
		"there is none, nothing known":    {nil, func(f *health.Facts) { *f = health.Facts{Active: reached} }, nil},
		"the configuration is no YAML":    {before(), func(f *health.Facts) { f.Config = errors.New("line 1") }, []string{"the configuration cannot be read: line 1"}},
		"two at once":                     {before(), func(f *health.Facts) { f.Var, f.Failed = errors.New("full"), []string{"linkseal.service"} }, []string{"/var", "units"}},
		"no configuration, a bad machine": {nil, func(f *health.Facts) { *f = health.Facts{Root: errors.New("x"), Active: reached} }, []string{"the root"}},
	} {
		f := good()
		c.spoil(&f)
		got := health.Judge(c.before, f)
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
