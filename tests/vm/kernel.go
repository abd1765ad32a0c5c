// Package vm boots Debian's kernel in QEMU with the host's root below a RAM
// overlay, runs commands in it and brings their output and exit status back.
// It is how tests meet a kernel with MACsec on a machine that has none.
package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// Kernel is an unpacked kernel package in the cache.
type Kernel struct {
	Image     string // what QEMU boots: an ELF vmlinux, or the bzImage
	ModuleDir string // lib/modules/RELEASE, absolute
}

// metaPackage depends on the newest kernel of the full flavour; the cloud one
// has no 9p.
const metaPackage = "linux-image-amd64"

// CacheDir is where kernels are kept: $XDG_CACHE_HOME/linkseal or
// ~/.cache/linkseal, so that clones share them.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the kernel: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(base, "linkseal"), nil
}

// FindKernel returns the newest kernel in the cache; if there is none, it
// downloads the package from Debian's archive and unpacks it there.
func FindKernel(ctx context.Context, logf func(string, ...any)) (*Kernel, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Join(cache, "linux-image-*"))
	if err != nil {
		return nil, err
	}
	sort.Slice(dirs, func(i, j int) bool { return modified(dirs[i]) > modified(dirs[j]) })
	if len(dirs) == 0 {
		dir, err := fetchKernel(ctx, cache, logf)
		if err != nil {
			return nil, err
		}
		dirs = []string{dir}
	}
	k, err := openKernel(dirs[0])
	if err != nil {
		return nil, err
	}
	return k, unsign(k.ModuleDir)
}

func modified(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.ModTime().UnixNano()
}

func openKernel(dir string) (*Kernel, error) {
	mods, err := filepath.Glob(filepath.Join(dir, "lib/modules/*/modules.dep"))
	if err != nil || len(mods) != 1 {
		return nil, fmt.Errorf("%s: %d kernels with modules.dep in it, want 1; remove the directory to fetch it again", dir, len(mods))
	}
	k := &Kernel{ModuleDir: filepath.Dir(mods[0])}
	for _, name := range []string{"vmlinux", "vmlinuz"} {
		if k.Image = filepath.Join(dir, name); fileExists(k.Image) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s: no kernel image; remove the directory to fetch it again", dir)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// fetchKernel puts the kernel into cache under the name of its .deb, in one
// rename, so that a half-made one is never found.
func fetchKernel(ctx context.Context, cache string, logf func(string, ...any)) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	// apt's own user has to read it.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	pkg, err := kernelPackage(ctx, logf)
	if err != nil {
		return "", err
	}
	logf("fetching %s into %s", pkg, cache)
	if _, err := output(ctx, tmp, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", pkg); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages, want 1", pkg, len(debs))
	}
	root := filepath.Join(tmp, "root")
	if _, err := output(ctx, tmp, "dpkg-deb", "-x", debs[0], root); err != nil {
		return "", err
	}
	if err := prepare(ctx, root); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, strings.TrimSuffix(filepath.Base(debs[0]), ".deb"))
	if err := os.Rename(root, dir); err != nil && !fileExists(dir) {
		return "", err
	}
	return dir, nil
}

// kernelPackage asks apt which package the meta package stands for.
func kernelPackage(ctx context.Context, logf func(string, ...any)) (string, error) {
	find := func() string {
		out, err := output(ctx, "", "apt-cache", "depends", "--important", metaPackage)
		if err != nil {
			return ""
		}
		for line := range strings.Lines(out) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, "linux-image-") {
				return name
			}
		}
		return ""
	}
	if pkg := find(); pkg != "" {
		return pkg, nil
	}
	if os.Geteuid() == 0 {
		logf("apt knows no %s yet: apt-get update", metaPackage)
		if _, err := output(ctx, "", "apt-get", "-q", "update"); err != nil {
			return "", err
		}
		if pkg := find(); pkg != "" {
			return pkg, nil
		}
	}
	return "", fmt.Errorf("apt knows no %s; run: sudo apt-get update (the guest needs Debian's archive)", metaPackage)
}

// prepare turns an unpacked package into what openKernel wants.
func prepare(ctx context.Context, root string) error {
	images, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("the package holds %d kernels, want 1", len(images))
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	if _, err := output(ctx, "", "depmod", "-b", root, release); err != nil {
		return err
	}
	bz, err := os.ReadFile(images[0])
	if err != nil {
		return err
	}
	// An emulated processor takes seconds to unpack what the host unpacks
	// in one; without xz the guest does it.
	if elf, err := decompress(ctx, bz); err == nil {
		return os.WriteFile(filepath.Join(root, "vmlinux"), elf, 0o644)
	}
	return os.Rename(images[0], filepath.Join(root, "vmlinuz"))
}

// decompress returns the ELF image inside an x86 bzImage that xz packed.
func decompress(ctx context.Context, bz []byte) ([]byte, error) {
	start := bytes.Index(bz, []byte("\xfd7zXZ\x00"))
	if start < 0 {
		return nil, fmt.Errorf("not packed with xz")
	}
	cmd := exec.CommandContext(ctx, "xz", "-dc", "--single-stream")
	cmd.Stdin = bytes.NewReader(bz[start:])
	elf, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	if !bytes.HasPrefix(elf, []byte("\x7fELF")) {
		return nil, fmt.Errorf("no ELF image inside")
	}
	return elf, nil
}

// output runs a program; its error holds what the program said.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
