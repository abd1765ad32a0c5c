package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dashboard is what is held to something of dashboard.json.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Datasource             source
		}
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Title, Type, Description string
	Datasource               source
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct {
		RefID, Expr string
		Datasource  source
	}
}

type source struct{ Type, UID string }

var templated = source{"prometheus", "${datasource}"}

// dashboards are the files, with the variable by which each is of one thing.
var dashboards = map[string]string{"dashboard.json": "port", "tunnels.json": "tunnel"}

func readDashboard(t *testing.T, path string) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 20 {
		t.Fatalf("%d panels; there are more", len(d.Panels))
	}
	return d
}

// One data source for all, chosen by whoever looks; panels that do not cover
// each other and that say what they show.
func TestDashboard(t *testing.T) {
	uids := make(map[string]string)
	for path, variable := range dashboards {
		d := readDashboard(t, path)
		t.Run(path, func(t *testing.T) { d.holds(t, variable) })
		if other := uids[d.UID]; other != "" {
			t.Errorf("%s and %s have one uid", path, other)
		}
		uids[d.UID] = path
	}
}

func (d dashboard) holds(t *testing.T, variable string) {
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 39 {
		t.Errorf("title %q, uid %q, schema %d", d.Title, d.UID, d.SchemaVersion)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
		if v.Type == "query" && v.Datasource != templated {
			t.Errorf("variable %s is of data source %v", v.Name, v.Datasource)
		}
	}
	if got := strings.Join(variables, ", "); got != "datasource datasource, instance query, "+variable+" query" {
		t.Errorf("variables: %s", got)
	}
	ids, cells := make(map[int]bool), make(map[[2]int]string)
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d, %q: an id or a title that is not its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is over %q, or beyond the edge, at %d,%d", p.Title, other, x, y)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.Datasource != templated || len(p.Targets) == 0 {
			t.Errorf("%s: description %q, data source %v, %d queries", p.Title, p.Description, p.Datasource, len(p.Targets))
		}
		for _, q := range p.Targets {
			if q.Datasource != templated {
				t.Errorf("%s: query %s is of data source %v", p.Title, q.RefID, q.Datasource)
			}
		}
	}
}

// Every query names what there is, and, asked of a scrape that has everything,
// answers something: promtool asks.
func TestDashboardQueries(t *testing.T) {
	for path := range dashboards {
		t.Run(path, func(t *testing.T) { readDashboard(t, path).answers(t) })
	}
}

func (d dashboard) answers(t *testing.T) {
	metrics, values := known(t)
	variables := strings.NewReplacer("$instance", ".*", "$port", ".*", "$tunnel", ".*", "$__rate_interval", "5m")
	type input struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	type sample struct {
		Labels string  `json:"labels"`
		Value  float64 `json:"value"`
	}
	type query struct {
		Expr     string   `json:"expr"`
		Time     string   `json:"eval_time"`
		Expected []sample `json:"exp_samples"`
	}
	var inputs []input
	for _, s := range samples(t) {
		name, labels, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
		inputs = append(inputs, input{fmt.Sprintf(`%s{job="linkseal",instance="a",%s}`, name, labels), "1x20"})
	}
	var queries []query
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		metric, label, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")"), ", ")
		queries = append(queries, query{fmt.Sprintf(`count(%s{%s!=""}) > bool 0`, strings.NewReplacer("{}", "", `{instance=~"$instance"}`, "").Replace(metric), label), "10m", []sample{{"{}", 1}}})
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			expr := variables.Replace(q.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: there is no such variable: %s", p.Title, expr)
			}
			for _, bad := range wrong(strings.ReplaceAll(expr, `".*"`, `""`), metrics, values) {
				t.Errorf("%s: %s: %s is not told", p.Title, q.Expr, bad)
			}
			queries = append(queries, query{"count(" + expr + ") > bool 0", "10m", []sample{{"{}", 1}}})
		}
	}
	// YAML has all of JSON.
	text, err := json.Marshal(map[string]any{"evaluation_interval": "1m",
		"tests": []any{map[string]any{"interval": "1m", "input_series": inputs, "promql_expr_test": queries}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queries.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "test", "rules", "queries.yaml")
}
