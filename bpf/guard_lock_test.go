package bpf

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Everybody can open the root of the cgroups, and so lock it: it is no lock of the
// guard's, which waits for nobody but root.
func TestGuardWaitsForNobody(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	if err := unix.Flock(root, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- w.ns.Do(func() error {
			_, _, err := Guarded(w.index())
			return errors.Join(guardHere(w.index()), err, Unguard(w.index()))
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits")
		if err := unix.Flock(root, unix.LOCK_UN); err != nil {
			t.Error(err)
		}
		<-done
	}
	var s unix.Stat_t
	if err := unix.Lstat(lockPath, &s); err != nil || s.Mode != unix.S_IFREG|0o600 || s.Uid != 0 {
		t.Errorf("%s has mode %o and is of user %d, %v; want a file of root's alone", lockPath, s.Mode, s.Uid, err)
	}
}

// Who has the lock and does not end costs a moment, and is told.
func TestLockHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := takeLock(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	const wait = 20 * time.Millisecond
	start := time.Now()
	if fd, err := takeLock(path, wait); !errors.Is(err, unix.EAGAIN) || fd != -1 || time.Since(start) < wait {
		t.Errorf("%d, %v after %v", fd, err, time.Since(start))
	}
	if err := unix.Close(first); err != nil {
		t.Fatal(err)
	}
	again, err := takeLock(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(again); err != nil {
		t.Error(err)
	}
	if _, err := takeLock(filepath.Join(path, "below"), 0); err == nil {
		t.Error("a lock where no file can be")
	}
}

// The directory is made as the control socket's is, whoever comes first and whatever
// the umask, and is left as it is if it is there.
func TestLockDirectory(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "linkseal")
	for _, want := range []uint32{0o755, 0o700} {
		fd, err := takeLock(filepath.Join(dir, "guard.lock"), 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		var s unix.Stat_t
		if err := unix.Stat(dir, &s); err != nil || s.Mode&0o7777 != want {
			t.Errorf("mode %o, %v; want %o", s.Mode, err, want)
		}
		if err := unix.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
