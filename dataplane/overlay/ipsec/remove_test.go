package ipsec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/netns"
)

// scripted answers as a charon does, whose peers never do: what parts from them is
// there until it is ended by force.
type scripted struct {
	t *testing.T

	mu    sync.Mutex
	hangs bool
	again *sync.Cond // it does not any more
	conns []string
	sas   []string // by their number, from 1; "": ended
	asked map[string]int
}

func newScripted(t *testing.T) *scripted {
	s := &scripted{t: t, asked: map[string]int{}}
	s.again = sync.NewCond(&s.mu)
	return s
}

// text is an element of a message of vici.
func text(key, value string) string {
	return "\x03" + string(rune(len(key))) + key + string(binary.BigEndian.AppendUint16(nil, uint16(len(value)))) + value
}

// charon is one that talks to s.
func (s *scripted) charon() *Charon {
	t := s.t
	path := filepath.Join(shortDir(t), "vici")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	client, err := strongswan.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ns, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return &Charon{
		o: CharonOptions{NS: ns}, log: logger(t), look: make(chan struct{}, 1), p: &process{Client: client},
		sessions: map[string]*Session{}, keys: map[string]int{}, owed: map[string][]string{},
	}
}

func (s *scripted) serve(c net.Conn) {
	defer c.Close()
	send := func(packet string) {
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(packet))), packet...))
	}
	for {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if b[0] != 0 {
			send("\x05") // an event is subscribed
			continue
		}
		name, rest := string(b[2:2+b[1]]), string(b[2+b[1]:])
		s.mu.Lock()
		s.asked[name]++
		for s.hangs {
			s.again.Wait()
		}
		answer := text("success", "yes")
		list := func(key string, all []string) {
			answer = "\x04" + string(rune(len(key))) + key
			for _, one := range all {
				answer += "\x05" + string(binary.BigEndian.AppendUint16(nil, uint16(len(one)))) + one
			}
			answer += "\x06"
		}
		switch name {
		case "get-conns":
			list("conns", s.conns)
		case "unload-conn":
			s.conns = slices.DeleteFunc(s.conns, func(n string) bool { return rest == text("name", n) })
		case "terminate":
			for i := range s.sas {
				if strings.Contains(rest, text("ike-id", fmt.Sprint(i+1))) && strings.Contains(rest, text("force", "yes")) {
					s.sas[i] = ""
				}
			}
		case "list-sas":
			for i, n := range s.sas {
				if n != "" {
					send("\x07\x07list-sa\x01" + string(rune(len(n))) + n + text("uniqueid", fmt.Sprint(i+1)) + text("state", "ESTABLISHED") + "\x02")
				}
			}
		case "get-shared", "get-keys":
			list("keys", nil)
		}
		s.mu.Unlock()
		send("\x01" + answer)
	}
}

// took is how long f takes.
func took(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

// All members of a tunnel whose peers do not answer are waited for together.
func TestRemoveUnanswered(t *testing.T) {
	f := newScripted(t)
	for n := range 40 {
		name := conn.Name("hub1", n)
		f.conns, f.sas = append(f.conns, name), append(f.sas, name)
	}
	other := conn.Name("hub2", 0)
	f.conns, f.sas = append(f.conns, other), append(f.sas, other)
	c := f.charon()
	c.owed["hub1"] = nil
	d, err := took(func() error { return c.settle(c.p.Client, "hub1") })
	if err != nil || d < removePatience || d > 3*removeTime {
		t.Errorf("it took %v, %v", d, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if left := slices.DeleteFunc(f.sas, func(n string) bool { return n == "" }); !slices.Equal(left, []string{other}) || !slices.Equal(f.conns, []string{other}) {
		t.Errorf("charon has %q and %q", f.conns, left)
	}
	if c.owes() {
		t.Error("it is owed yet")
	}
}

// A charon that hangs holds up one removal, for a bounded time, and the next not at
// all; when it answers again it forgets both.
func TestRemoveHang(t *testing.T) {
	f := newScripted(t)
	c := f.charon()
	f.mu.Lock()
	f.hangs = true
	f.mu.Unlock()
	var tunnels []*Session
	for _, name := range []string{"hub1", "hub2"} {
		cfg := (&wire{our: lowAddr, their: highAddr}).tunnel()
		cfg.Name, cfg.Count = name, 20
		for n := range cfg.Count {
			f.conns, f.sas = append(f.conns, conn.Name(name, n)), append(f.sas, conn.Name(name, n))
		}
		s, err := Open(c, cfg, place(cfg, false), Options{Log: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		tunnels = append(tunnels, s)
		s.SetPSKs(keychain.PSKSelection{})
	}
	waitFor(t, 5*time.Second, "charon is asked", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.asked["get-shared"] > 0
	})
	for i, most := range []time.Duration{3 * (removeTime + closePatience), removeTime} {
		if d, err := took(tunnels[i].Remove); err == nil || d > most {
			t.Errorf("removal %d took %v, %v", i+1, d, err)
		}
	}
	f.mu.Lock()
	f.hangs = false
	f.again.Broadcast()
	f.mu.Unlock()
	if err := c.settle(c.p.Client, "hub1"); !errors.Is(err, errMute) {
		t.Errorf("asked again: %v", err)
	}
	c.mute.Store(false) // as a look does that is answered
	c.settleAll(c.p.Client)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.conns) > 0 || c.owes() || slices.ContainsFunc(f.sas, func(n string) bool { return n != "" }) {
		t.Errorf("charon has %q and %q, owed %v", f.conns, f.sas, c.owed)
	}
}
