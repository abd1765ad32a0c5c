package appliance

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// service has systemd reload the daemon, find it killed, and find it hanging: each time
// link and tunnel are secured again, by a daemon that is as hardened as the first.
func (p *pair) service() {
	west := p.hosts[0]
	pid := func() string { return strings.TrimSpace(west.run("systemctl show -P MainPID linkseal")) }
	first := pid()
	west.run("systemctl reload linkseal || { journalctl -b -u linkseal --no-pager -n 15 >&2; exit 1; }")
	if now := pid(); now != first {
		p.t.Errorf("a reload made process %s of %s", now, first)
	}
	for _, c := range []struct{ signal, result string }{{"KILL", "signal"}, {"STOP", "watchdog"}} {
		before := pid()
		began := time.Now()
		west.run("kill -s " + c.signal + " " + before)
		// What protects is there while nobody is: the filter, the MACsec device and its SAs.
		west.run("ip link show type macsec | grep -q . && ip macsec show | grep -q 'state on' && nft list table inet linkseal-fence")
		west.await("another daemon after SIG"+c.signal, patience, func(ctx context.Context) error {
			now, err := west.Run(ctx, "systemctl is-active -q linkseal && systemctl show -P MainPID linkseal")
			if err == nil && strings.TrimSpace(now) == before {
				err = fmt.Errorf("it is process %s still", before)
			}
			return err
		})
		said := west.run("journalctl -b -u linkseal --no-pager -o cat")
		if want := "Failed with result '" + c.result + "'"; !strings.Contains(said, want) {
			p.t.Errorf("after SIG%s the journal has no %q:\n%s", c.signal, want, said)
		}
		p.secured()
		for n := range p.hosts {
			p.answered(n, linkAddress[1-n])
			p.answered(n, tunnelAddress[1-n])
		}
		fmt.Printf("figure: SIG%s to secured again at both ends: %.0f s (emulated)\n", c.signal, time.Since(began).Seconds())
	}
	west.noneFailed()
}
