package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
		}
	}
	return nil
}

// early mounts what module loading and the search for the port need.
func early() error {
	return mountAll([]mount{
		{"proc", "/proc", "proc", 0, ""},
		{"sysfs", "/sys", "sysfs", 0, ""},
		{"devtmpfs", "/dev", "devtmpfs", 0, ""},
	})
}

// enterRoot makes the host's root, read-only over 9p, the root of all
// processes, with every change kept in RAM: an overlay, so that each path of
// the host is where it was, the repository and the test binaries in /tmp
// included, and the kernel's modules can be put where modprobe looks.
func enterRoot(moduleDir string) error {
	if err := mountAll([]mount{
		{"ram", "/ram", "tmpfs", 0, "mode=0755"},
		// loose: the host's files do not change under a test run.
		{"host", "/ram/host", "9p", unix.MS_RDONLY, "trans=virtio,version=9p2000.L,msize=524288,cache=loose"},
	}); err != nil {
		return err
	}
	for _, dir := range []string{"/ram/upper", "/ram/work", "/ram/root"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", "/ram/root", "overlay", 0,
		"lowerdir=/ram/host,upperdir=/ram/upper,workdir=/ram/work"); err != nil {
		return fmt.Errorf("mount the overlay: %w", err)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, "/ram/root"+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	// As switch_root(8). The kernel's own threads share our file system
	// state, so that their modprobe runs in the new root too.
	if err := unix.Chdir("/ram/root"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := mountAll([]mount{
		{"run", "/run", "tmpfs", 0, "mode=0755"},
		{"devpts", "/dev/pts", "devpts", 0, "mode=0620,ptmxmode=0666"},
		{"shm", "/dev/shm", "tmpfs", 0, ""},
		{"bpf", "/sys/fs/bpf", "bpf", 0, ""},
	}); err != nil {
		return err
	}
	if err := os.MkdirAll("/tmp", 0o1777); err != nil {
		return err
	}
	if err := tunNode(); err != nil {
		return err
	}
	return linkModules(moduleDir)
}

// tunNode makes the device node by which the kernel learns that it needs the
// module: elsewhere udev does, from modules.devname.
func tunNode() error {
	const path = "/dev/net/tun"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200)))
	if err != nil && err != unix.EEXIST {
		return &os.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}

// wakeProcessors brings up all but the first, with which the kernel booted: to
// emulate the others through all of the boot takes twice its time.
func wakeProcessors() error {
	cpus, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/online")
	if err != nil {
		return err
	}
	for _, path := range cpus {
		if text, err := os.ReadFile(path); err == nil && text[0] == '1' {
			continue // there the first can be taken down too
		}
		if err := os.WriteFile(path, []byte("1"), 0); err != nil {
			return err
		}
	}
	return nil
}

func linkModules(dir string) error {
	const base = "/lib/modules"
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	link := filepath.Join(base, filepath.Base(dir))
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	return os.Symlink(dir, link)
}

// openPort finds the virtio port by the name that QEMU gave it.
func openPort(name string) (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		text, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(text)) == name {
			return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(n)), os.O_WRONLY, 0)
		}
	}
	return nil, fmt.Errorf("no virtio port is called %s (%d ports)", name, len(names))
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(path, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
