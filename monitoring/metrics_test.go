package monitoring

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// golden has every metric that linkseal tells, as a scrape.
const golden = "../dataplane/status/metrics/testdata/metrics.txt"

// samples are the lines of the scrape that are samples, without their values.
func samples(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if end := strings.LastIndexByte(line, ' '); end > 0 && line[0] != '#' {
			all = append(all, line[:end])
		}
	}
	if len(all) < 100 {
		t.Fatalf("%s: %d samples; there are more", golden, len(all))
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:linkseal|process|go)_[a-z0-9_]+|\bup\b`)
	labelled   = regexp.MustCompile(`([a-z_0-9]+)="([^"]*)"`)
)

// known is what is told: the labels of each metric, and the values of each
// label. Prometheus adds up, job and instance.
func known(t *testing.T) (metrics map[string][]string, values map[string][]string) {
	t.Helper()
	metrics = map[string][]string{"up": nil, "process_start_time_seconds": nil}
	values = make(map[string][]string)
	for _, s := range samples(t) {
		name, rest, _ := strings.Cut(s, "{")
		metrics[name] = nil
		for _, l := range labelled.FindAllStringSubmatch(rest, -1) {
			metrics[name] = append(metrics[name], l[1])
			values[l[1]] = append(values[l[1]], l[2])
		}
	}
	return metrics, values
}

// closed are the labels of which the golden file has every value.
var closed = []string{"state", "traffic", "alarm", "direction", "result", "verdict", "mode", "passed", "request"}

// series is a selector in an expression, or a series of a test.
var series = regexp.MustCompile(`\b((?:linkseal|process|go)_[a-z0-9_]+|up)\{([^}]*)\}`)

var matcher = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)

// selector is a metric in an expression, with its matchers if it has any.
var selector = regexp.MustCompile(`\b((?:linkseal|process|go)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?`)

// selects tells whether one of all, series in one notation or another, is what
// name and matchers select.
func selects(t *testing.T, name, matchers string, all []string) bool {
	t.Helper()
	return slices.ContainsFunc(all, func(one string) bool {
		metric, rest, _ := strings.Cut(one, "{")
		if metric != name {
			return false
		}
		labels := make(map[string]string)
		for _, l := range labelled.FindAllStringSubmatch(rest, -1) {
			labels[l[1]] = l[2]
		}
		for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
			is := labels[m[1]] == m[3]
			if m[2][1:] == "~" {
				e, err := regexp.Compile("^(?:" + m[3] + ")$")
				if err != nil {
					t.Fatal(err)
				}
				is = e.MatchString(labels[m[1]])
			}
			if is == (m[2][0] == '!') {
				return false
			}
		}
		return true
	})
}

// wrong is what text, of expressions or series, names and is not told.
func wrong(text string, metrics, values map[string][]string) (bad []string) {
	for _, name := range metricName.FindAllString(text, -1) {
		if _, ok := metrics[name]; !ok {
			bad = append(bad, name)
		}
	}
	for _, s := range series.FindAllStringSubmatch(text, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			label, operator, value := m[1], m[2], m[3]
			if label == "job" || label == "instance" {
				continue
			}
			if !slices.Contains(metrics[s[1]], label) {
				bad = append(bad, s[1]+": label "+label)
			}
			alternatives := []string{value}
			if operator[1:] == "~" {
				alternatives = strings.Split(value, "|")
			}
			for _, v := range alternatives {
				if slices.Contains(closed, label) && !slices.Contains(values[label], v) {
					bad = append(bad, s[1]+": "+label+" "+v)
				}
			}
		}
	}
	return bad
}

// What is named and is not told is found.
func TestWrong(t *testing.T) {
	metrics, values := known(t)
	for text, want := range map[string]bool{`a_total`: true, `a_total{x="1"}`: true, `a_total{x="2"}`: false, `a_total{x!="1"}`: false, `a_total{x=~"1|2", y=""}`: true,
		`a_total{x!~"1.*"}`: false, `b_total`: false} {
		name, matchers, _ := strings.Cut(strings.TrimSuffix(text, "}"), "{")
		if got := selects(t, name, matchers, []string{`c_total{x="2"}`, `a_total{z="3", x="1"}`}); got != want {
			t.Errorf("%s selects: %v", text, got)
		}
	}
	for text, want := range map[string]string{
		`rate(linkseal_filter_packets_total{verdict=~"dropped|tagged"}[5m])`: "",
		`up{job="linkseal"} == 0`:                           "",
		`linkseal_prot_state == 1`:                          "linkseal_prot_state",
		`linkseal_port_state{prot="link1"}`:                 "linkseal_port_state: label prot",
		`linkseal_port_state{state="insecure"}`:             "linkseal_port_state: state insecure",
		`linkseal_secy_in_packets_total{result!~"ok|fine"}`: "linkseal_secy_in_packets_total: result fine",
	} {
		if got := strings.Join(wrong(text, metrics, values), ", "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
