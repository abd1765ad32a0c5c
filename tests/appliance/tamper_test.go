package appliance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What an appliance says that boots: systemd's words, and the console's screen.
const alive = `\[(  OK  |FAILED|DEPEND)\]|Welcome to|Reached target|Starting |login:|^--- linkseal, `

// What is said when a kernel runs, and by a shell that init=/bin/sh would give.
const kernels = `Linux version|can't access tty|^(/ #|#|sh-[0-9.]+#) ?$|linkseal: `

// What is said of a root that is not what was signed.
const rootRefusal = `linkseal: .*(is not what was signed|cannot be mounted)|verity.*corrupt|Kernel panic`

// OVMF's and systemd-boot's words for what they do not start.
// systemd, of an appliance that boots, says [FAILED] Failed to start.
const espRefusal = `(?i)access denied|security violation|(^|[^\]] )failed to (load|start)|error loading|no bootable|not found`

// A disk that nobody touched is refused nowhere: the words of the refusals are not
// said of one that boots. Up to the kernel the loader speaks, and then the initrd.
func TestUntampered(t *testing.T) {
	i := theImage(t)
	h := i.hostOn(t, "untampered", "format=raw,file="+i.copied(t, "untampered"))
	h.on()
	h.says(patience, alive)
	said := h.Console().Since(h.mark)
	if !strings.Contains(said[0].Text, "BdsDxe") {
		t.Errorf("the loader's words are missing: the console begins with %q", said[0].Text)
	}
	for loader := true; len(said) > 0 && !matches(alive, said[0].Text); said = said[1:] {
		line := said[0].Text
		loader = loader && !matches(kernels, line)
		if loader && matches(espRefusal, line) || matches(rootRefusal, line) {
			t.Errorf("a disk that nobody touched: %q", line)
		}
	}
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// TestRefusals: the words of a refusal are no words of a boot, and the other way
// round.
func TestRefusals(t *testing.T) {
	for line, refused := range map[string]bool{
		`BdsDxe: loading Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x3,0x0)`: false,
		`BdsDxe: failed to load Boot0001 "UEFI Misc Device": Access Denied`:          true,
		`BdsDxe: failed to start Boot0001 "UEFI Misc Device"`:                        true,
		`Failed to start image`:                                             true,
		`Error loading \EFI\Linux\linkseal_1.efi: Access denied`:            true,
		`EFI stub: UEFI Secure Boot is enabled.`:                            false,
		`[FAILED] Failed to start nftables.service - nftables.`:             false,
		`switch_root: can't open '/dev/console': No such file or directory`: false,
		`grep: /sys/class/block/*/uevent: No such file or directory`:        false,
	} {
		if matches(espRefusal, line) != refused {
			t.Errorf("%q: refused %v", line, !refused)
		}
	}
	if !matches(alive, "[FAILED] Failed to start nftables.service - nftables.") {
		t.Error("systemd that runs is not alive")
	}
}

// esp is mtools' word for the ESP in a disk.
func (i *image) esp(t *testing.T, disk string) string {
	return fmt.Sprintf("%s@@%d", disk, i.partition(t, "esp").Offset)
}

// stays demands that the machine says one of the refusals, and never what an
// appliance that boots says, nor anything of never.
func (h *host) stays(refusal, never string) {
	h.t.Helper()
	h.on()
	line, which := h.says(patience, refusal, alive)
	if which != 0 {
		h.t.Fatalf("%s booted: its console says %q", h.Name, line.Text)
	}
	fmt.Printf("figure: %s: refused: %s\n", h.t.Name(), line.Text)
	h.Cut()
	for _, l := range h.Console().Since(h.mark) {
		if regexp.MustCompile(alive + never).MatchString(l.Text) {
			h.t.Errorf("%s went on after all: its console says %q", h.Name, l.Text)
		}
	}
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	check(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	check(t, err)
}

// A root of which one bit is another is not run: neither where mount reads it, nor
// where the first program is.
func TestTamperedRoot(t *testing.T) {
	i := theImage(t)
	root := i.partition(t, "root-a")
	t.Run("superblock", func(t *testing.T) {
		disk := i.copied(t, "tampered-superblock")
		flip(t, disk, root.Offset+1024+32) // the time of the build, which nothing else checks
		i.hostOn(t, "tampered-superblock", "format=raw,file="+disk).stays(rootRefusal, "")
	})
	t.Run("program", func(t *testing.T) {
		disk := i.copied(t, "tampered-program")
		flip(t, disk, root.Offset+i.extent(t, "/lib/systemd/systemd"))
		i.hostOn(t, "tampered-program", "format=raw,file="+disk).stays(rootRefusal, "")
	})
	t.Run("hashes", func(t *testing.T) {
		disk := i.copied(t, "tampered-hashes")
		flip(t, disk, i.partition(t, "root-a-verity").Offset+4096+7) // of the tree's top
		i.hostOn(t, "tampered-hashes", "format=raw,file="+disk).stays(rootRefusal, "")
	})
}

var extent = regexp.MustCompile(`(?m)^\s*\d+:\s+\d+\.\.\s*\d+ \|\s+\d+ :\s+(\d+)\.\.\s*\d+ \|`)

// extent is where in the root's file system a file begins.
func (i *image) extent(t *testing.T, path string) int64 {
	t.Helper()
	for _, path := range []string{"/usr" + path, path} {
		out, err := exec.Command("dump.erofs", "--path="+path, "-e", filepath.Join(i.dir, "parts/root.erofs")).CombinedOutput()
		if err == nil {
			m := extent.FindSubmatch(out)
			if m == nil {
				t.Fatalf("dump.erofs names no extent of %s: %s", path, out)
			}
			at, err := strconv.ParseInt(string(m[1]), 10, 64)
			check(t, err)
			return at + 100
		}
	}
	t.Fatalf("the root has no %s", path)
	return 0
}

// An ESP on which something is not what was signed boots nothing of it.
func TestTamperedESP(t *testing.T) {
	i := theImage(t)
	uki := "::/EFI/Linux/linkseal_" + i.version + ".efi"
	change := func(t *testing.T, name string, do func(t *testing.T, esp, work string)) {
		t.Run(name, func(t *testing.T) {
			disk := i.copied(t, "tampered-"+name)
			do(t, i.esp(t, disk), t.TempDir())
			i.hostOn(t, "tampered-"+name, "format=raw,file="+disk).stays(espRefusal, "|"+kernels)
		})
	}
	replace := func(t *testing.T, esp, name string, edit func(path string)) {
		path := filepath.Join(t.TempDir(), "file")
		check(t, program("mcopy", "-n", "-i", esp, name, path))
		edit(path)
		check(t, program("mcopy", "-o", "-i", esp, path, name))
	}
	change(t, "uki", func(t *testing.T, esp, _ string) {
		replace(t, esp, uki, func(path string) { // one bit of the kernel
			st, err := os.Stat(path)
			check(t, err)
			flip(t, path, st.Size()-1<<20)
		})
	})
	change(t, "cmdline", func(t *testing.T, esp, _ string) {
		replace(t, esp, uki, func(path string) {
			text, err := os.ReadFile(path)
			check(t, err)
			changed := strings.Replace(string(text), "module.sig_enforce=1", "init=/bin/sh        ", 1)
			if changed == string(text) {
				t.Fatal("the UKI has no command line with module.sig_enforce=1")
			}
			check(t, os.WriteFile(path, []byte(changed), 0o600))
		})
	})
	change(t, "unsigned-uki", func(t *testing.T, esp, _ string) {
		replace(t, esp, uki, func(path string) { check(t, program("sbattach", "--remove", path)) })
	})
	change(t, "boot-manager", func(t *testing.T, esp, _ string) {
		replace(t, esp, "::/EFI/BOOT/BOOTX64.EFI", func(path string) { flip(t, path, 40<<10) })
	})
	// An entry of somebody's own, first in the order, with a kernel that is not
	// signed.
	change(t, "unsigned-kernel", func(t *testing.T, esp, work string) {
		kernel, initrd := i.kernel(t, work)
		i.entry(t, esp, work, "title a stranger\nversion 99999999\nsort-key aaa\nlinux /stranger\ninitrd /initrd\noptions init=/bin/sh rdinit=/bin/sh console=ttyS0\n",
			map[string]string{"::/stranger": kernel, "::/initrd": initrd})
	})
	// An entry that starts the signed UKI, with a command line of its own: it
	// boots, and with the command line that was signed.
	t.Run("options", func(t *testing.T) {
		disk := i.copied(t, "tampered-options")
		esp := i.esp(t, disk)
		i.entry(t, esp, t.TempDir(), "title a stranger\nversion 99999999\nsort-key aaa\nefi /EFI/Linux/linkseal_"+i.version+".efi\noptions init=/bin/sh rdinit=/bin/sh console=ttyS0\n", nil)
		s := sites(t, i.public)[0]
		h := i.hostOn(t, "tampered-options", "format=raw,file="+disk, i.cloud(t, s))
		h.on()
		if line := h.run("cat /proc/cmdline"); strings.Contains(line, "/bin/sh") || !strings.Contains(line, "module.sig_enforce=1") {
			t.Errorf("the entry's command line was taken: %s", line)
		} else {
			fmt.Printf("figure: %s: an entry with the signed image and init=/bin/sh boots with the signed command line\n", t.Name())
		}
	})
}

// kernel takes kernel and initrd out of the UKI: the same octets, not signed by
// themselves.
func (i *image) kernel(t *testing.T, work string) (kernel, initrd string) {
	t.Helper()
	kernel, initrd = filepath.Join(work, "kernel"), filepath.Join(work, "initrd")
	for section, to := range map[string]string{".linux": kernel, ".initrd": initrd} {
		check(t, program("objcopy", "-O", "binary", "--only-section="+section, filepath.Join(i.dir, "parts/linkseal.efi"), to))
	}
	// Debian has signed its kernel, with a key that is not ours: out with that
	// too, so that the refusal is for want of any.
	_ = exec.Command("sbattach", "--remove", kernel).Run()
	return kernel, initrd
}

// entry adds a boot entry and files to the ESP, and has it chosen.
func (i *image) entry(t *testing.T, esp, work, text string, files map[string]string) {
	t.Helper()
	conf, loader := filepath.Join(work, "stranger.conf"), filepath.Join(work, "loader.conf")
	check(t, os.WriteFile(conf, []byte(text), 0o600), os.WriteFile(loader, []byte("timeout 0\ndefault stranger.conf\n"), 0o600))
	_ = program("mmd", "-i", esp, "::/loader/entries") // it may be there
	check(t, program("mcopy", "-o", "-i", esp, conf, "::/loader/entries/stranger.conf"), program("mcopy", "-o", "-i", esp, loader, "::/loader/loader.conf"))
	for to, from := range files {
		check(t, program("mcopy", "-o", "-i", esp, from, to))
	}
}
