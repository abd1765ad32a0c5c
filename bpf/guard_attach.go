package bpf

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// withGuard calls do with the guard that is attached, one process at a time. If
// none is, or another version's, this one's is attached before if told; else
// do has nil.
func withGuard(attach bool, do func(*guard) error) error {
	return withCgroup(!attach, func(cgroup int) error {
		if cgroup < 0 {
			return do(nil)
		}
		lock, err := takeLock(lockPath, lockWait)
		if err != nil {
			return err
		}
		defer unix.Close(lock)
		all, err := findGuards(cgroup)
		defer func() {
			for _, g := range all {
				g.Close()
			}
		}()
		if err != nil {
			return fmt.Errorf("find the guard: %w", err)
		}
		if attach {
			spec, err := loadGuard()
			if err != nil {
				return fmt.Errorf("read the object: %w", err)
			}
			if all, err = renewGuard(cgroup, spec, all); err != nil {
				return err
			}
		}
		if len(all) == 0 {
			return do(nil)
		}
		return do(all[0])
	})
}

// eachGuard calls do with each guard that is attached, as long as it returns nil.
// It waits for nobody: there are two while one replaces the other.
func eachGuard(do func(*guard) error) error {
	return withCgroup(true, func(cgroup int) error {
		if cgroup < 0 {
			return nil
		}
		all, err := findGuards(cgroup)
		if err != nil {
			err = fmt.Errorf("find the guard: %w", err)
		}
		for _, g := range all {
			if err == nil {
				err = do(g)
			}
			g.Close()
		}
		return err
	})
}

// withCgroup calls do with the root of the cgroups or, where the kernel has none
// and it may lack, with -1.
func withCgroup(mayLack bool, do func(cgroup int) error) error {
	cgroup, err := root.open()
	if errors.Is(err, ErrNoGuard) && mayLack {
		return do(-1)
	}
	if err != nil {
		return err
	}
	return do(cgroup)
}

// root is the root of the cgroups, opened once: to make a mount each time takes
// longer than all else that a look at the guard does. It stays what it is for as long
// as the process is in its cgroup namespace.
var root rootDirectory

type rootDirectory struct {
	mu     sync.Mutex
	fd     int
	opened bool
}

func (r *rootDirectory) open() (fd int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		if r.fd, err = lentRoot(); err != nil {
			return -1, err
		}
		r.opened = true
	}
	return r.fd, nil
}

// lentRoot is cgroupRoot, by the broker if there is one.
func lentRoot() (int, error) {
	if !broker.Configured() {
		return cgroupRoot()
	}
	fd, _, err := broker.Ask(broker.Request{What: broker.Cgroups})
	if errors.Is(err, unix.ENODEV) {
		return -1, ErrNoGuard
	}
	return fd, err
}

// cgroupRoot opens the root of the cgroups, version 2, that this process sees,
// mounted or not. Programs are attached to it read-only as to any, and nothing else is
// done by it: a broker lends it to a daemon that shall move and kill no processes.
func cgroupRoot() (int, error) {
	return openRoot(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
}

func openRoot(attributes int) (int, error) {
	fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return -1, fmt.Errorf("%w (%w)", ErrNoGuard, err)
	}
	if err != nil {
		return -1, fmt.Errorf("open the cgroups: %w", remedy(err))
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("open the cgroups: %w", remedy(err))
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("open the cgroups: %w", remedy(err))
	}
	defer unix.Close(mount)
	// A mount's file is a path alone (O_PATH).
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the cgroups: %w", err)
	}
	return root, nil
}

// whole tells by ErrPartial that the root is that of a cgroup namespace: the root of
// all has inode 1.
func whole(cgroup int) error {
	var s unix.Stat_t
	if err := unix.Fstat(cgroup, &s); err != nil {
		return fmt.Errorf("the root of the cgroups: %w", err)
	}
	if s.Ino != 1 {
		return ErrPartial
	}
	return nil
}

// findGuards finds the guards that are attached: one, or two where who replaced
// it was interrupted, or is about it.
func findGuards(cgroup int) (all []*guard, err error) {
	for range 8 {
		if all, err = queryGuards(cgroup); !errors.Is(err, os.ErrNotExist) {
			break
		}
		for _, g := range all { // one has gone since it was listed
			g.Close()
		}
		all = nil
	}
	return all, err
}

func queryGuards(cgroup int) (all []*guard, err error) {
	res, err := link.QueryPrograms(link.QueryOptions{Target: cgroup, Attach: ebpf.AttachCGroupSetsockopt})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		return nil, nil // no CONFIG_CGROUP_BPF
	}
	if err != nil {
		return nil, remedy(err)
	}
	for _, a := range res.Programs {
		k, err := programs.kind(a.ID)
		if err != nil {
			return all, err
		}
		if k.name != guardProgLinksealGuard {
			continue
		}
		p := &program{id: a.ID, found: k, maps: mapsByName{}, tag: k.tag}
		err = p.openMaps(guardMapGuarded, guardMapKnown)
		if g := newGuard(cgroup, p); err == nil && g.guarded != nil && g.known != nil {
			all = append(all, g)
			continue
		}
		p.Close()
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func newGuard(cgroup int, p *program) *guard {
	return &guard{program: p, cgroup: cgroup, guarded: p.maps[guardMapGuarded], known: p.maps[guardMapKnown]}
}

// renewGuard is old if that is one guard, that of spec; else one that is
// attached anew and guards what old did: the new comes before the old goes. Two
// old ones may have maps of their own, where two processes had no common /run.
func renewGuard(cgroup int, spec *ebpf.CollectionSpec, old []*guard) ([]*guard, error) {
	with := map[string]*ebpf.Map{}
	if len(old) > 0 {
		for name, m := range map[string]*ebpf.Map{guardMapGuarded: old[0].guarded, guardMapKnown: old[0].known} {
			if spec.Maps[name].Compatible(m) == nil {
				with[name] = m
			}
		}
	}
	var obj guardObjects
	if err := spec.LoadAndAssign(&obj, &ebpf.CollectionOptions{MapReplacements: with}); err != nil {
		return old, lacking(err)
	}
	defer obj.guardMaps.Close()
	p := &program{Program: obj.LinksealGuard}
	if err := p.complete(mapsByName{guardMapGuarded: obj.Guarded, guardMapKnown: obj.Known}); err != nil {
		p.Close()
		return old, err
	}
	n := newGuard(cgroup, p)
	for i, g := range old {
		if i == 0 && with[guardMapGuarded] != nil {
			continue // it is the same map
		}
		if err := n.take(g); err != nil {
			n.Close()
			return old, err
		}
	}
	if len(old) == 1 && old[0].tag == n.tag && len(with) == 2 {
		n.Close()
		return old, nil
	}
	err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: cgroup, Program: n.Program, Attach: ebpf.AttachCGroupSetsockopt, Flags: unix.BPF_F_ALLOW_MULTI})
	if err != nil {
		n.Close()
		return old, lacking(err)
	}
	var errs []error
	for _, g := range old {
		errs = append(errs, g.detach())
		g.Close()
	}
	return []*guard{n}, errors.Join(errs...)
}

// take has g guard what old does. Maps of another layout have nothing for it: whoever
// guards by these looks now and then.
func (g *guard) take(old *guard) error {
	if g.guarded.KeySize() != old.guarded.KeySize() || g.guarded.ValueSize() != old.guarded.ValueSize() {
		return nil
	}
	all, err := entries[guardPlace, guardRefused](old.guarded)
	if err != nil {
		return err
	}
	for p, n := range all {
		if err := g.guarded.Update(p, n, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("take over from program %s: %w", old.tag, remedy(err))
		}
	}
	return nil
}

// lacking names what a kernel without the hook answers.
func lacking(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w (%w)", ErrNoGuard, err)
	}
	return remedy(err)
}
