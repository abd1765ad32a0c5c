package userspace

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// listen has an appliance serve metrics at an address from its next reload on,
// or start; "": nowhere.
func (p *pair) listen(t *testing.T, a *lab.Appliance, at string) {
	t.Helper()
	check(t, p.configure(lab.Port{MKA: steady}))
	if at == "" {
		return
	}
	text, err := os.ReadFile(a.ConfigFile())
	check(t, err)
	check(t, os.WriteFile(a.ConfigFile(), fmt.Appendf(text, "metrics: {listen: %s}\n", at), 0o644))
}

// scrape asks for the metrics at an address, from within another appliance.
func scrape(from *lab.Appliance, at string) (page string, err error) {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
			e := from.NS.Do(func() error {
				conn, err = new(net.Dialer).DialContext(ctx, network, at)
				return err
			})
			return conn, e
		}}}
	answer, err := c.Get("http://" + at + "/metrics")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", answer.Status)
	}
	return string(b), err
}

// west serves metrics on the address inside the link, which is not there before
// the daemon makes it, to east, across the link. The configuration moves them to
// where another is, and takes them away; the traffic knows nothing of it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{MKA: steady})
	at, taken := p.west.Address.Addr().String()+":9469", p.west.Address.Addr().String()+":9470"
	p.listen(t, p.west, at)
	p.start(t)
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 50)
	first := d.now()
	sci := "" // west's
	endpoint := func() *status.Metrics {
		s := whole(t, p.west)
		if s.Ports[0].State != status.Secured {
			t.Errorf("the port is %s: %s", s.Ports[0].State, s.Ports[0].UnsecuredReason)
		}
		sci = s.Ports[0].SCI
		return s.Metrics
	}
	page := ""
	eventually(t, "metrics", func() bool {
		m := endpoint()
		var err error
		page, err = scrape(p.east, at)
		return err == nil && m != nil && m.Serving && m.Listen == at && m.Error == ""
	})
	for _, want := range []string{
		`linkseal_port_state{port="link1",state="secured"} 1`,
		`linkseal_participant_live_peers{ckn="` + p.key.CKN + `",port="link1"} 1`,
		`linkseal_secy_in_packets_total{port="link1",result="not_valid"} 0`,
		`linkseal_filter_packets_total{direction="ingress",port="link1",verdict="macsec"} `,
		`linkseal_tx_sa_age_seconds{an="0",ckn="` + p.key.CKN + `",port="link1"} `,
		`linkseal_rx_sa_age_seconds{an="0",ckn="` + p.key.CKN + `",port="link1",sci="`,
		`linkseal_sa_packets_total{an="0",direction="ingress",port="link1",sci="`,
		`linkseal_sa_highest_pn{an="0",direction="egress",port="link1",sci="`,
		`linkseal_sa_info{an="0",ckn="` + p.key.CKN + `",direction="egress",key="`,
		`linkseal_sa_exposed_bytes_total{an="0",direction="egress",passed="clear",port="link1",sci="` + sci + `"} 0`,
		`linkseal_port_last_macsec_timestamp_seconds{direction="egress",port="link1"} `,
		`linkseal_no_account_packets_total{port="link1"} `,
		`linkseal_filter_mode{direction="ingress",mode="none",port="link1"} 0`,
		`linkseal_port_guarded{port="link1"} 1`, `linkseal_guard_refused_sockets_total{request="xdp"} `,
		`linkseal_rotations_total{keychain="link1",result="done"} 0`,
		"linkseal_seal_failed 0", "linkseal_clock_held 0", "process_open_fds ", "go_goroutines ",
	} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("there is no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, p.key.CAK) {
		t.Error("the metrics have the CAK")
	}
	var other net.Listener
	check(t, p.west.NS.Do(func() (err error) {
		other, err = net.Listen("tcp4", taken)
		return err
	}))
	defer other.Close()
	p.listen(t, p.west, taken)
	check(t, p.west.Signal(unix.SIGHUP))
	eventually(t, "a fault of the endpoint", func() bool {
		m := endpoint()
		return m != nil && !m.Serving && strings.HasPrefix(m.Error, "address already in use; stop what has it")
	})
	text, _, _, err := p.west.Verb(t.Context(), "status", "--socket", p.west.Socket())
	check(t, err)
	if !strings.Contains(text, "metrics are not served at "+taken+", which is tried again: address already in use") {
		t.Errorf("status has nothing of it:\n%s", text)
	}
	check(t, other.Close())
	eventually(t, "metrics where another was", func() bool { _, err := scrape(p.east, taken); return err == nil })
	p.listen(t, p.west, "")
	check(t, p.west.Signal(unix.SIGHUP))
	eventually(t, "no metrics", func() bool { _, err := scrape(p.east, taken); return err != nil && endpoint() == nil })
	d.end()
	if n := d.count(first, patience); n.lost+n.twice+n.wrong > 0 {
		t.Errorf("%v", n)
	}
	if log := p.west.Log(); strings.Count(log, "metrics are not served; it is tried again") > 2 {
		t.Errorf("told again and again:\n%s", log)
	}
}
