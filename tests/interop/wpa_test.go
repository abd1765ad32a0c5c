package interop

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// mixed is a linkseal and a wpa_supplicant on a cable.
type mixed struct {
	*lab.Lab
	west *lab.Appliance
	peer *supplicant
	key  lab.Key
	// watched are the ends that hear the cable: not one whose SecY is in user
	// space, which moves frames past packet sockets.
	watched []*lab.Appliance
}

// wpaPriority is between those that win and lose against it.
const (
	wins, wpaPriority, loses = 8, 16, 32
)

func newMixed(t *testing.T, k lab.Key, port lab.Port, extra ...string) *mixed {
	t.Helper()
	need(t, port)
	l := newLab(t, lab.Options{Names: []string{"west", "peer"}})
	m := &mixed{l, l.Appliances[0], newSupplicant(t, l.Appliances[1]), k, l.Appliances}
	if port.Dataplane == userspace {
		m.watched = l.Appliances[1:]
	}
	if port.Cipher == "" {
		port.Cipher = "gcm-aes-128"
	}
	check(t, m.west.WriteConfig(port), m.west.WriteKeys(k))
	m.peer.write(t, peerConf{key: k, priority: wpaPriority, extra: extra})
	return m
}

// secure waits for the link and demands the elected server, traffic both ways,
// nothing in clear, and an empty plan.
func (m *mixed) secure(t *testing.T, server bool) status.Port {
	t.Helper()
	sealed := wires(t, m.watched...)
	check(t, m.west.Start())
	m.peer.start(t)
	return m.secured(t, server, sealed)
}

func (m *mixed) secured(t *testing.T, server bool, sealed func()) status.Port {
	t.Helper()
	p := wait(t, "the link to wpa_supplicant to be secured", func(p status.Port) bool { return lab.Settled(p, m.key.CKN) }, m.west)[0]
	for _, x := range p.Participants {
		if x.KeyServer != server {
			t.Errorf("key server: %v; want %v", x.KeyServer, server)
		}
	}
	// The supplicant is a step behind: its SA may come after ours is announced.
	x := traffic(t, m.west, m.peer.Appliance, 20*time.Millisecond)
	flows(t, x, 5)
	x.Stop()
	carries(t, m.west, m.peer.Appliance)
	nothingToPlan(t, m.west)
	sealed()
	return p
}

// TestSupplicant is the matrix of who is key server, the CAK's and the CKN's
// length. In short, each CKN length with both roles and both CAKs, one each.
func TestSupplicant(t *testing.T) {
	t.Parallel()
	for i, ckn := range []int{1, 15, 16, 17, 32} {
		for _, cak := range []int{16, 32} {
			for _, server := range []bool{true, false} {
				if !soak() && (cak == 16) == server != (i%2 == 0) {
					continue
				}
				role, priority := "key server", wins
				if !server {
					role, priority = "not key server", loses
				}
				t.Run(fmt.Sprintf("CKN %d, CAK %d, %s", ckn, 8*cak, role), func(t *testing.T) {
					t.Parallel()
					m := newMixed(t, key(t, ckn, cak), lab.Port{Priority: priority})
					m.secure(t, server)
				})
			}
		}
	}
}

func TestSupplicantIntegrityOnly(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{true, false} {
		t.Run(fmt.Sprintf("key server %v", server), func(t *testing.T) {
			t.Parallel()
			port := lab.Port{Priority: loses, Extra: []string{"encrypt: false"}}
			if server {
				port.Priority = wins
			}
			m := newMixed(t, key(t, 16, 16), port, "macsec_integ_only=1")
			plain := make(chan bool, 1)
			tap, err := lab.Listen(m.west, lab.Device, func(f lab.Frame) {
				if f.EtherType() == 0x88e5 && f.Outgoing {
					select {
					case plain <- f.Octets[14]&0x0c == 0: // E and C
					default:
					}
				}
			})
			check(t, err)
			defer tap.Close()
			m.secure(t, server)
			if !<-plain {
				t.Error("the SecTAG says encrypted")
			}
		})
	}
}

func TestSupplicantReplayWindow(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{true, false} {
		t.Run(fmt.Sprintf("key server %v", server), func(t *testing.T) {
			t.Parallel()
			port := lab.Port{Priority: loses, Extra: []string{"replay_window: 64"}}
			if server {
				port.Priority = wins
			}
			m := newMixed(t, key(t, 16, 16), port, "macsec_replay_protect=1", "macsec_replay_window=64")
			m.secure(t, server)
			out, err := m.west.NS.Command("ip", "-d", "link", "show", lab.Interface).CombinedOutput()
			check(t, err)
			if !strings.Contains(string(out), "replay on window 64") {
				t.Errorf("the device has no replay window of 64:\n%s", out)
			}
		})
	}
}

// A 256-bit suite works if linkseal is key server and the peer's device was
// made with that suite first.
func TestSupplicantGCM256(t *testing.T) {
	t.Parallel()
	m := newMixed(t, key(t, 16, 32), lab.Port{Priority: wins, Cipher: "gcm-aes-256"})
	m.peer.createDevice256(t)
	if p := m.secure(t, true); p.Cipher != "gcm-aes-256" {
		t.Errorf("cipher %s", p.Cipher)
	}
}

// The peer is stopped and started: traffic goes again.
func TestSupplicantRestart(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{true, false} {
		t.Run(fmt.Sprintf("key server %v", server), func(t *testing.T) {
			t.Parallel()
			port := lab.Port{Priority: loses}
			if server {
				port.Priority = wins
			}
			m := newMixed(t, key(t, 16, 16), port)
			m.secure(t, server)
			before := device(t, m.west)
			m.peer.stop(t)
			start := time.Now()
			m.peer.start(t) // and with it the device and its address
			x := traffic(t, m.west, m.peer.Appliance, 20*time.Millisecond)
			flows(t, x, 1)
			took := time.Since(start)
			flows(t, x, 50)
			x.Stop()
			if after := device(t, m.west); after != before {
				t.Errorf("the device was\n%s\nand is\n%s", before, after)
			}
			m.secured(t, server, func() {})
			figure(t, "wpa_supplicant restarted, linkseal key server %v: traffic again %v after its start", server, took.Round(time.Millisecond))
		})
	}
}

// CAKs that differ leave the link unsecured, and whoever asks is told why: in
// status, in the log, and by inspect of what was captured.
func TestSupplicantCAKMismatch(t *testing.T) {
	t.Parallel()
	m := newMixed(t, key(t, 16, 16), lab.Port{Priority: wins})
	other := lab.Key{CKN: m.key.CKN, CAK: key(t, 16, 16).CAK}
	m.peer.write(t, peerConf{key: other, priority: wpaPriority})
	capture := startCapture(t, m.west)
	check(t, m.west.Start())
	m.peer.start(t)
	wait(t, "the reason", func(p status.Port) bool {
		return p.State == status.Unsecured && strings.Contains(p.UnsecuredReason, "the CAKs differ")
	}, m.west)
	eventually(t, "the reason in the log", func() bool {
		log := m.west.Log()
		return strings.Contains(log, "ICV") && strings.Contains(log, m.key.CKN)
	})
	nothingToPlan(t, m.west)
	file := capture(t)
	out, errs, st, err := m.west.Verb(t.Context(), "inspect", "--keychain", m.west.KeysFile(), file)
	check(t, err)
	if st != 0 || !strings.Contains(strings.ToLower(out+errs), "cak differs") && !strings.Contains(out+errs, "CAKs differ") {
		t.Errorf("inspect, exit status %d, does not say that the CAKs differ:\n%s%s", st, out, errs)
	}
	// It has not become secured by and by.
	wait(t, "the same as before", func(p status.Port) bool {
		return p.State == status.Unsecured && p.Passing == "none" && p.Tx == nil
	}, m.west)
}

// startCapture runs tcpdump at an appliance's port; the returned function ends
// it and gives the file.
func startCapture(t *testing.T, a *lab.Appliance) func(*testing.T) string {
	t.Helper()
	file := a.Dir + "/wire.pcap"
	ctx, cancel := context.WithCancel(context.Background())
	cmd := a.NS.CommandContext(ctx, "tcpdump", "-Z", "root", "-U", "--immediate-mode", "-i", lab.Device, "-w", file)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var text syncBuilder
	cmd.Stderr = &text
	check(t, cmd.Start())
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, "tcpdump", func() bool { return strings.Contains(text.String(), "listening on") })
	return func(t *testing.T) string {
		t.Helper()
		cancel()
		<-done
		return file
	}
}
