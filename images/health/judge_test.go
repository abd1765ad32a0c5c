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
		Configured: true, Ports: []string{"link1", "link2"}, Tunnels: []string{"hub1"},
		SecuredPorts: []string{"link1"}, SecuredTunnels: []string{"hub1"},
		Problems: map[string]string{"port link2": "down", "port link1": "unsecured; no peer is live", "tunnel hub1": "unsecured"},
	}
}

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
		"systemd is silent":               {before(), func(f *health.Facts) { f.Units = errors.New("bus") }, []string{"systemd does not tell"}},
		"no daemon":                       {before(), func(f *health.Facts) { f.Daemon = errors.New("no daemon answers") }, []string{"the daemon does not answer: no daemon answers"}},
		"no daemon, and never secured":    {nil, func(f *health.Facts) { f.Daemon = errors.New("x") }, []string{"the daemon does not answer"}},
		"a port not secured again":        {before(), func(f *health.Facts) { f.SecuredPorts = nil }, []string{"port link1 was secured before the update, and is not: unsecured; no peer is live"}},
		"a tunnel not secured again":      {before(), func(f *health.Facts) { f.SecuredTunnels = nil }, []string{"tunnel hub1 was secured before"}},
		"a port of the tunnel's name":     {before(), func(f *health.Facts) { f.SecuredPorts, f.SecuredTunnels = []string{"link1", "hub1"}, nil }, []string{"tunnel hub1 was secured before"}},
		"a port that the daemon forgot":   {before(), func(f *health.Facts) { f.SecuredPorts, f.Problems = nil, nil }, []string{"port link1 was secured before the update, and is not: its state says no more"}},
		"a port that was taken out":       {before(), func(f *health.Facts) { f.SecuredPorts, f.Ports = nil, []string{"link2"} }, nil},
		"the configuration is gone":       {before(), func(f *health.Facts) { *f = health.Facts{} }, []string{"the configuration is gone"}},
		"there was none, and is none":     {&health.Record{}, func(f *health.Facts) { *f = health.Facts{} }, nil},
		"there is none, nothing known":    {nil, func(f *health.Facts) { *f = health.Facts{} }, nil},
		"the configuration is no YAML":    {before(), func(f *health.Facts) { f.Config = errors.New("line 1") }, []string{"the configuration cannot be read: line 1"}},
		"two at once":                     {before(), func(f *health.Facts) { f.Var, f.Failed = errors.New("full"), []string{"linkseal.service"} }, []string{"/var", "units"}},
		"no configuration, a bad machine": {nil, func(f *health.Facts) { *f = health.Facts{Root: errors.New("x")} }, []string{"the root"}},
	} {
		f := good()
		c.spoil(&f)
		got := health.Judge(c.before, f)
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
