package appliance

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/images/update"
	"github.com/linkseal/linkseal/tests/appliance/drive"
	"github.com/linkseal/linkseal/tests/appliance/gpt"
	"github.com/linkseal/linkseal/tests/appliance/qemu"
)

// frail is a host on a drive that loses what it was not told to keep.
type frail struct {
	*host
	drive *drive.Drive
}

// frail makes one; its drive is larger than the image, as the others' are.
func (i *image) frail(t *testing.T, name string, seed uint64, media ...qemu.Medium) *frail {
	t.Helper()
	base, err := os.Open(i.raw)
	check(t, err)
	d, err := drive.New(base, diskSize, filepath.Join(i.trial, name+".pages"), seed)
	check(t, err)
	socket := filepath.Join(i.trial, name+".nbd")
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	check(t, err)
	go d.Serve(l)
	// After the machine is gone: cleanups go backwards.
	t.Cleanup(func() { l.Close(); d.Close(); base.Close() })
	return &frail{i.hostOn(t, name, "format=raw,file=nbd+unix:///?socket="+socket, media...), d}
}

// cut pulls the plug, and demands that a check of the file system of /var finds
// nothing that its journal does not mend.
func (f *frail) cut() {
	f.t.Helper()
	f.Close()
	f.Cut()
	lost, err := f.drive.Cut()
	check(f.t, err)
	fmt.Printf("figure: %s: power cut, %d pages of the drive's cache lost\n", f.Name, lost)
	f.clean("after the cut")
}

// clean checks a copy of /var: the journal first, as the boot does, then all of it.
func (f *frail) clean(when string) {
	f.t.Helper()
	part, err := gpt.Find(f.drive, "var")
	check(f.t, err)
	path := filepath.Join(f.Dir, f.Name+".var")
	out, err := os.Create(path)
	check(f.t, err)
	defer os.Remove(path)
	_, err = io.Copy(out, io.NewSectionReader(f.drive, part.Offset, part.Size))
	check(f.t, err, out.Close())
	for _, option := range []string{"-p", "-fn"} {
		cmd := exec.Command("/sbin/e2fsck", option, path)
		said, err := cmd.CombinedOutput()
		// 1: mended, as a journal that was replayed is.
		if status := cmd.ProcessState.ExitCode(); err != nil && (status != 1 || option != "-p") {
			f.t.Errorf("%s: /var %s: e2fsck %s: %v: %s", f.Name, when, option, err, said)
		}
	}
}

// write is something that writes while the power goes.
type write struct {
	name   string
	update bool // it installs one
	// begin starts it on the first of the pair; it returns when it runs.
	begin func(p *pair, f *frail)
	most  time.Duration // of the machine's processor; the cut comes within so long
}

// writes are done in the order of a rotation, so that few rounds have many kinds.
var writes = []write{
	{"rotation and journal", false, func(p *pair, f *frail) {
		f.start("logs", floodJournal)
		f.start("rotation", "linkseal rotate link1")
	}, 20 * time.Second},
	{"update", true, func(p *pair, f *frail) {
		f.run(mountUpdates)
		f.start("update", install)
	}, 60 * time.Second},
	{"keys and journal", false, func(p *pair, f *frail) {
		f.start("logs", floodJournal)
		f.start("keys", "while :; do cp -p /etc/linkseal/keys/link1.yaml /etc/linkseal/keys/link1.new && sync /etc/linkseal/keys/link1.new && mv /etc/linkseal/keys/link1.new /etc/linkseal/keys/link1.yaml; linkseal reload --config /etc/linkseal/linkseal.yaml; done")
	}, 20 * time.Second},
	{"update, rotation and journal", true, func(p *pair, f *frail) {
		f.run(mountUpdates)
		f.start("logs", floodJournal)
		f.start("update", install)
		f.start("rotation", "linkseal rotate link1")
	}, 60 * time.Second},
}

// install installs the first update that is newer than what runs, and keeps what was
// said and, when it ends, whether it did.
const install = "exec >/run/install.said 2>&1; for f in /mnt/*.update; do linkseal image install $f && exit; done; echo none is installed"

// wrote demands that an install that was begun has written something, or goes on to:
// one that ended with nothing written puts nothing to the test. That what runs is on
// trial, or the newest already, is no fault of it; then it is told, and does not count.
func (f *frail) wrote() (counts bool) {
	f.t.Helper()
	said := f.run("cat /run/install.said || :") // it may not have begun
	counts, err := installed(said)
	if err != nil {
		f.t.Errorf("%s: %v", f.Name, err)
	}
	if !counts {
		fmt.Printf("figure: %s: the update was refused, and nothing of it written: %s\n", f.Name, strings.ReplaceAll(strings.TrimSpace(said), "\n", "; "))
	}
	return counts
}

// installed judges what an install said so far.
func installed(said string) (counts bool, err error) {
	if !strings.Contains(said, "none is installed") {
		return true, nil // it goes on, or is done
	}
	for line := range strings.Lines(strings.TrimSpace(said)) {
		if !strings.Contains(line, "none is installed") && !expected.MatchString(line) {
			return false, fmt.Errorf("the install ended with nothing written: %s", said)
		}
	}
	return false, nil
}

// expected are judge's refusals that a round before may be the reason of.
var expected = regexp.MustCompile(`is what runs; accepted: a newer one|is older than .* which runs|is on trial itself`)

const floodJournal = "while :; do echo a line of no importance; journalctl --sync; done | systemd-cat"

// start runs a command on the machine that goes on by itself.
func (f *frail) start(name, command string) {
	f.t.Helper()
	f.feed(command, "cat >/run/"+name+"; systemd-run --quiet --collect --unit=test-"+name+" sh /run/"+name)
}

// Whatever is written when the power goes, the machine comes back by itself: the
// file system, keys, state and slots are whole, and the link is secured again.
func TestPowerCut(t *testing.T) {
	i := theImage(t)
	rounds := 2
	if soaking() {
		rounds = 10
	}
	// An update that is installed before the power goes is booted, and the next
	// one is another.
	var files []string
	for n, name := range []string{"next", "then"}[:1+rounds/10] {
		_, file := i.variant(t, name, strconv.Itoa(1+2*n), nil)
		files = append(files, file)
	}
	seed := uint64(time.Now().UnixNano())
	fmt.Printf("figure: power cuts by the seed %d\n", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	updates := i.media(t, "cut", files...)
	var frails [2]*frail
	p := i.pair(t, "cut", func(name string, n int, media ...qemu.Medium) *host {
		frails[n] = i.frail(t, name, seed+uint64(n), append(media, updates)...)
		return frails[n].host
	})
	west := frails[0]
	for _, f := range frails {
		f.on()
	}
	// The first boot makes identities, grows /var and is provisioned; it is cut
	// once, anywhere between its kernel's start and what comes behind its end.
	west.pause(20*time.Second + time.Duration(random.Int64N(int64(80*time.Second))))
	fmt.Printf("figure: round 0: cut in the first boot; the console ends with %q\n", lastLine(west.host))
	west.cut()
	west.on()
	p.secured()
	before := west.identity()
	wrote := 0
	for round := 1; round <= rounds; round++ {
		w := writes[(int(seed)+round)%len(writes)]
		w.begin(p, west)
		after := time.Duration(random.Int64N(int64(w.most)))
		west.pause(after)
		if w.update && west.wrote() {
			wrote++
		}
		fmt.Printf("figure: round %d: %s, cut after %.1f s of its processor\n", round, w.name, after.Seconds())
		west.cut()
		west.on()
		west.await("the machine after the cut", patience, func(ctx context.Context) error {
			_, err := west.overview(ctx)
			return err
		})
		p.intact(west, before)
		p.carry()
		p.secured()
		p.answered(1, linkAddress[0])
	}
	if wrote == 0 {
		t.Error("no update was being written in any round")
	}
	west.off()
	west.clean("after it was switched off")
}

// pause returns when the machine has taken that much more of the processor: a moment
// by chance, which is the same of a busy host as of an idle one. All that is done
// meanwhile keeps the processor busy.
func (f *frail) pause(d time.Duration) {
	f.t.Helper()
	until := f.Processor() + d
	f.await(fmt.Sprintf("%.1f s of its processor", d.Seconds()), patience, func(context.Context) error {
		if now := f.Processor(); now < until {
			return fmt.Errorf("it has taken %s of %s", now, until)
		}
		return nil
	})
}

func lastLine(h *host) string {
	lines := h.Console().Since(h.mark)
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1].Text
}

// identity is what no power cut may change.
func (f *frail) identity() string {
	f.t.Helper()
	return f.run("cat /etc/machine-id; sha256sum /etc/linkseal/linkseal.yaml /etc/linkseal/wg.key /etc/linkseal/keys/hub1-psk.yaml /var/etc/ssh/authorized_keys /var/etc/ssh/ssh_host_*_key")
}

// intact demands that identity, keychain, sealed keys and slots are whole.
func (p *pair) intact(f *frail, before string) {
	p.t.Helper()
	if now := f.identity(); now != before {
		p.t.Errorf("%s: after the cut\n%sbefore it\n%s", f.Name, now, before)
	}
	f.run("linkseal check --config /etc/linkseal/linkseal.yaml && linkseal keys list --config /etc/linkseal/linkseal.yaml") // else the test ends
	o, err := f.overview(p.t.Context())
	check(p.t, err)
	if o.Running.State == update.Broken || o.Other.State == update.Broken || o.Running.Problem != "" || o.Other.Problem != "" {
		p.t.Errorf("%s: the slots after the cut: %+v", f.Name, *o)
	}
	last := "none"
	if o.Last != nil {
		last = o.Last.Version + " " + o.Last.Result
	}
	fmt.Printf("figure: after it: runs %s (%s), other slot %s (%s), last update: %s\n", o.Running.Version, o.Running.State, o.Other.Version, o.Other.State, last)
	s, err := f.status(p.t.Context())
	if err != nil || s.SealError != "" {
		p.t.Errorf("%s: status after the cut: %v, keys are not sealed: %q", f.Name, err, s.SealError)
	}
	f.noneFailed()
	f.run("journalctl --quiet --lines=1 --boot=-1 >/dev/null")
}

// carry brings west's keychain to east, as a rotation of keys in files needs.
func (p *pair) carry() {
	p.t.Helper()
	const path = "/etc/linkseal/keys/link1.yaml"
	p.hosts[1].put(path, p.hosts[0].run("cat "+path))
}
