// Package monitoring holds what Prometheus and Grafana are given to watch
// linkseal: dashboard.json and tunnels.json, which Grafana 11 and later import,
// and alerts.yaml, rules for Prometheus. Its tests hold them against the metrics
// that there are (dataplane/status/metrics/testdata/metrics.txt), and have
// promtool try them.
package monitoring
