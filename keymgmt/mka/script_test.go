package mka

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestScripts runs the stories in testdata/*.txt, a line a command; testdata's
// README has the commands.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, marks: map[string]string{}, tapes: map[string][]byte{}, last: map[string][]byte{}, edits: map[int][]string{}}
			for i, line := range strings.Split(string(text), "\n") {
				line, _, _ = strings.Cut(line, "#")
				if f := strings.Fields(line); len(f) > 0 {
					s.at = fmt.Sprintf("%s:%d: %s", file, i+1, strings.TrimSpace(line))
					s.command(f[0], f[1:])
				}
			}
		})
	}
}

// script is a story being told.
type script struct {
	t     *testing.T
	w     *world
	at    string
	lines []string
	marks map[string]string
	tapes map[string][]byte
	last  map[string][]byte // "node key": the last MKPDU
	edits map[int][]string  // what is changed in a node's MKPDUs on their way
}

func (s *script) fatal(format string, a ...any) {
	s.t.Helper()
	tail := s.lines[max(0, len(s.lines)-25):]
	s.t.Fatalf("%s: %s\n%s\n%s", s.at, fmt.Sprintf(format, a...), strings.Join(tail, "\n"), s.w.dump())
}

func (s *script) num(text string) int {
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		s.fatal("%v", err)
	}
	return int(n)
}

func (s *script) time(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.fatal("%v", err)
	}
	return d
}

func (s *script) keys(text string) (keys []Key) {
	if text == "none" {
		return nil
	}
	for _, n := range strings.Split(text, ",") {
		keys = append(keys, testKey(s.num(n)))
	}
	return keys
}

var scriptKeys = []Key{testKey(1), testKey(2), testKey(3)}

func (s *script) world(n int) {
	s.w = newWorld(scriptTB{s.t, s}, n, 1)
	s.w.log = func(l string) { s.lines = append(s.lines, l) }
	s.w.tap = func(from int, frame []byte) []byte {
		if e := s.edits[from]; e != nil {
			frame = s.forge(frame, e)
		}
		s.last[fmt.Sprint(from, " ", cknOf(frame))] = bytes.Clone(frame)
		return frame
	}
}

// scriptTB names the line with a failure of the world's.
type scriptTB struct {
	testing.TB
	s *script
}

func (b scriptTB) Fatalf(format string, a ...any) {
	b.TB.Helper()
	b.TB.Fatalf("%s: %s\n%s", b.s.at, fmt.Sprintf(format, a...), strings.Join(b.s.lines[max(0, len(b.s.lines)-25):], "\n"))
}

func (s *script) command(verb string, arg []string) {
	if verb == "nodes" {
		s.world(s.num(arg[0]))
		return
	}
	w := s.w
	node := func(i int) int { return s.num(arg[i]) }
	switch verb {
	case "node":
		s.configure(&w.nodes[node(0)].cfg, arg[1:])
	case "start":
		w.start(node(0), s.keys(arg[1])...)
	case "hostap":
		w.startHostap(node(0), s.keys(arg[1])[0])
	case "keys":
		w.setKeys(node(0), s.keys(arg[1])...)
	case "cutkey": // out of the keychain, and cut
		w.step(node(0), Event{Kind: KeysChanged, Keys: s.keys(arg[1]), Cut: [][]byte{testKey(s.num(arg[2])).CKN}})
	case "kill":
		w.kill(node(0))
	case "reboot":
		w.reboot(node(0))
	case "suspend": // stops, and asks its peers to wait for it
		w.step(node(0), Event{Kind: Suspend})
	case "close":
		n := w.nodes[node(0)]
		if out := n.e.Step(w.now, Event{Kind: Close}, nil); len(out) > 0 || n.e.Deadline() != Never {
			s.fatal("Close did something")
		}
		if out := n.e.Step(w.now, Event{Kind: Received, Frame: s.last["1 1"]}, nil); len(out) > 0 {
			s.fatal("an action after Close")
		}
		n.up = false
	case "cut":
		w.cut[[2]int{node(0), node(1)}] = true
	case "heal":
		clear(w.cut)
	case "loss":
		w.loss = float64(s.num(arg[0])) / 100
	case "run":
		w.run(s.time(arg[0]))
	case "clear":
		s.lines = nil
	case "watch":
		w.watch = nil
		for i := range arg {
			w.watch = append(w.watch, node(i))
		}
	case "tape":
		s.tapes[arg[0]] = s.last[arg[1]+" "+arg[2]]
	case "replay":
		w.step(node(1), Event{Kind: Received, Frame: bytes.Clone(s.tapes[arg[0]])})
	case "forge":
		w.step(node(0), Event{Kind: Received, Frame: s.forge(s.last[arg[1]+" "+arg[2]], arg[3:])})
	case "mangle":
		s.edits[node(0)] = arg[1:]
		if arg[1] == "off" {
			delete(s.edits, node(0))
		}
	case "fail":
		what := strings.Join(arg[1:], " ")
		w.nodes[node(0)].fail = func(c sa.Change) error {
			if strings.HasPrefix(c.Kind.String(), what) {
				return errSecY
			}
			return nil
		}
		if what == "off" {
			w.nodes[node(0)].fail = nil
		}
	case "burn":
		w.burn(node(0), uint64(s.num(arg[1])))
	case "poll":
		for i := range w.nodes {
			w.poll(i)
		}
	case "lose": // the SecY of a node loses its SAs
		n := w.nodes[node(0)]
		ever := n.secy.ever
		n.secy = newFakeSecY()
		n.secy.ever, n.secy.gutted = ever, true
	case "last-mn": // the MN that a participant used last
		p := w.nodes[node(0)].e.byCKN(testKey(s.num(arg[1])).CKN)
		p.mn = uint32(s.num(arg[2]))
		for i := range p.mark {
			p.mark[i] = p.mn
		}
	case "collide": // a node draws another's MI next
		n, o := w.nodes[node(0)], w.nodes[node(1)]
		n.e.participants[0].mi = o.e.participants[0].mi
	case "mark":
		s.marks[arg[0]] = s.value(arg[1:])
	case "expect":
		if ok, got := s.holds(arg); !ok {
			s.fatal("%s", got)
		}
	case "until":
		w.until(s.at, s.time(arg[0]), func() bool { ok, _ := s.holds(arg[1:]); return ok })
	case "throughout": // for a while, at every instant
		for end := w.now + s.time(arg[0]); w.now < end; {
			if ok, got := s.holds(arg[1:]); !ok {
				s.fatal("at %v: %s", w.now, got)
			}
			w.run(min(max(0, w.next()-w.now), end-w.now))
		}
	default:
		s.fatal("no such command")
	}
}

func (s *script) configure(c *Config, arg []string) {
	for _, a := range arg {
		name, v, _ := strings.Cut(a, "=")
		switch name {
		case "priority":
			c.Priority = uint8(s.num(v))
		case "suite":
			c.Suite, _ = sa.ParseSuite(v)
		case "encrypt":
			c.Encrypt = v == "true"
		case "rekey":
			c.Rekey = s.time(v)
		case "protect":
			c.DelayProtect = v == "true"
		case "mac": // that of another node
			c.SCI = sa.NewSCI(testConfig(s.num(v)).SCI.MAC(), c.SCI.Port())
		case "port":
			c.SCI = sa.NewSCI(c.SCI.MAC(), uint16(s.num(v)))
		default:
			s.fatal("no such option %s", name)
		}
	}
}
