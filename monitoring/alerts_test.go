package monitoring

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// rules is alerts.yaml, as Prometheus reads it.
type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Record, Expr string
			For                 string
			Labels, Annotations map[string]string
		}
	}
}

// ruleTests is alerts_test.yaml, as promtool reads it.
type ruleTests struct {
	Tests []struct {
		InputSeries []struct {
			Series string
		} `yaml:"input_series"`
		Expressions []struct {
			Expected []struct {
				Labels string
			} `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

// silent tells whether, in a test in which the alert fires of another, the
// instance that is well has all that expr asks for, and does not.
func (r *ruleTests) silent(t *testing.T, alert, expr string) bool {
	t.Helper()
	for _, test := range r.Tests {
		fires, wrongly := false, false
		for _, e := range test.Expressions {
			for _, s := range e.Expected {
				is := strings.Contains(s.Labels, `alertname="`+alert+`"`)
				fires = fires || is
				wrongly = wrongly || is && strings.Contains(s.Labels, `instance="well"`)
			}
		}
		var well []string
		for _, s := range test.InputSeries {
			if strings.Contains(s.Series, `instance="well"`) {
				well = append(well, s.Series)
			}
		}
		all := true
		for _, s := range selector.FindAllStringSubmatch(expr, -1) {
			all = all && selects(t, s[1], s[2], well)
		}
		if fires && all && !wrongly {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Prometheus takes the rules, and they fire when they should and not else.
func TestPromtool(t *testing.T) {
	promtool(t, ".", "check", "rules", "--lint-fatal", "alerts.yaml")
	promtool(t, ".", "test", "rules", "alerts_test.yaml")
}

// Every alert says how grave it is, what is wrong, where, and what to do, is of
// metrics that there are, and has a test in which it fires of one appliance and
// not of another.
func TestAlerts(t *testing.T) {
	var r rules
	read(t, "alerts.yaml", &r)
	var tests ruleTests
	read(t, "alerts_test.yaml", &tests)
	var fires strings.Builder
	metrics, values := known(t)
	for _, group := range tests.Tests {
		for _, s := range group.InputSeries {
			for _, bad := range wrong(s.Series, metrics, values) {
				t.Errorf("alerts_test.yaml: %s: %s is not told", s.Series, bad)
			}
		}
		for _, e := range group.Expressions {
			for _, s := range e.Expected {
				fires.WriteString(s.Labels)
			}
		}
	}
	alerts := 0
	for _, group := range r.Groups {
		for _, rule := range group.Rules {
			for _, bad := range wrong(rule.Expr, metrics, values) {
				t.Errorf("%s%s: %s is not told", rule.Alert, rule.Record, bad)
			}
			if rule.Alert == "" {
				continue
			}
			alerts++
			if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
			if s := rule.Annotations["summary"]; !strings.Contains(s, "{{ $labels.instance }}") || len(s) > 180 {
				t.Errorf("%s: summary %q", rule.Alert, s)
			}
			if d := rule.Annotations["description"]; !strings.Contains(d, "`") || len(d) < 80 {
				t.Errorf("%s: a description that names no remedy, no command or key of the configuration: %q", rule.Alert, d)
			}
			if !strings.Contains(fires.String(), `alertname="`+rule.Alert+`"`) {
				t.Errorf("%s: fires in no test", rule.Alert)
			}
			if !tests.silent(t, rule.Alert, rule.Expr) {
				t.Errorf("%s: there is no test in which instance well has what it asks for, and it does not fire", rule.Alert)
			}
		}
	}
	if alerts < 20 {
		t.Errorf("%d alerts; there are more", alerts)
	}
}
