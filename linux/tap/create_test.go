package tap

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// inNamespace runs f on a thread in a namespace of its own.
func inNamespace(t *testing.T, f func(h *link.Handle)) {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Tap)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	err = ns.Do(func() error {
		h, err := link.Open()
		if err != nil {
			return err
		}
		defer h.Close()
		f(h)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nobody has the tap open: it is there, and it has no carrier when it is up.
func TestCreate(t *testing.T) {
	inNamespace(t, func(h *link.Handle) {
		if err := Create("tap0"); err != nil {
			t.Error(err)
			return
		}
		l, err := h.ByName("tap0")
		if err != nil || l.Kind != "tun" || !l.Tap || l.Up || l.MTU != 1500 || len(l.MAC) != 6 || l.Parent != 0 {
			t.Errorf("%+v, %v", l, err)
		}
		if err := h.SetUp(l.Index); err != nil {
			t.Error(err)
		}
		if l, err = h.ByIndex(l.Index); err != nil || !l.Up || l.Carrier || l.OperState == link.OperUp {
			t.Errorf("up: %+v, %v", l, err)
		}
		if err := Create("tap0"); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "tap tap0: create: ") {
			t.Errorf("a second one of that name: %v", err)
		}
		if err := Create("lo"); err == nil {
			t.Error("made over lo")
		}
		if err := Create(strings.Repeat("x", 16)); err == nil || !strings.Contains(err.Error(), "1 to 15 octets") {
			t.Errorf("a long name: %v", err)
		}
		if err := h.Delete(l.Index); err != nil {
			t.Error(err)
		}
		if _, err := h.ByIndex(l.Index); !errors.Is(err, link.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
	})
}

// attachAs opens a queue of tap0, or fails; with it the queue is closed.
func attachAs(fd int, flags uint16) error {
	defer unix.Close(fd)
	req, err := unix.NewIfreq("tap0")
	if err != nil {
		return err
	}
	req.SetUint16(flags)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
}

// A queue is attached with the flags that the tap has, or not at all, and not
// by another user, whoever opened the device node.
func TestAttach(t *testing.T) {
	probetest.Need(t, probe.CapSysAdmin)
	inNamespace(t, func(h *link.Handle) {
		if err := Create("tap0"); err != nil {
			t.Error(err)
			return
		}
		for _, c := range []struct {
			name   string
			flags  uint16
			nobody bool
			want   error
		}{
			{"as it is", flags, false, nil},
			{"again", flags, false, nil},
			{"one queue", unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR, false, unix.EINVAL},
			{"a tun", unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE, false, unix.EINVAL},
			{"nobody", flags, true, unix.EPERM},
		} {
			fd, err := open()
			if err != nil {
				t.Error(err)
				return
			}
			if c.nobody {
				err = asNobody(func() error { return attachAs(fd, c.flags) })
			} else {
				err = attachAs(fd, c.flags)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if l, err := h.ByName("tap0"); err != nil || !l.Tap {
				t.Errorf("%s: after its queues are closed: %+v, %v", c.name, l, err)
			}
		}
	})
}

// asNobody runs f on a thread without privileges, which ends with it.
func asNobody(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	return <-done
}

func TestAvailable(t *testing.T) {
	probetest.Need(t, probe.Tap)
	if err := Available(); err != nil {
		t.Error(err)
	}
}

func TestRemedy(t *testing.T) {
	for want, err := range map[string]error{
		"CAP_NET_ADMIN": unix.EPERM, "CONFIG_TUN": &os.PathError{Err: unix.ENOENT}, "ip link": unix.EBUSY,
	} {
		if got := remedy(err); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %s in it", err, got, want)
		}
	}
	if got := remedy(unix.ENOMEM); got != "" {
		t.Errorf("%q for what is not known", got)
	}
}

// A tun outlives its maker, without carrier, and refuses a second of its name.
func TestCreateTun(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.TUN)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error {
		if err := CreateTun("tun0"); err != nil {
			return err
		}
		if err := CreateTun("tun0"); err == nil || !strings.Contains(err.Error(), "an interface of that name may exist") {
			t.Errorf("a second: %v", err)
		}
		links, err := link.Open()
		if err != nil {
			return err
		}
		defer links.Close()
		l, err := links.ByName("tun0")
		if err != nil || l.Kind != "tun" || l.Tap || l.Carrier || l.MTU != 1500 {
			t.Errorf("%+v, %v", l, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
