package probe

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// From include/uapi/linux/bpf.h and pkt_cls.h.
const (
	xdpPass = 2
	tcActOK = 0
)

// verdict loads a program that returns ret and does nothing else.
func verdict(t ebpf.ProgramType, ret int32) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         t,
		License:      "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, ret), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load a %s program: %w", t, err)
	}
	return p, nil
}

func tryBPF() (string, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return "", fmt.Errorf("make a per-CPU map: %w", err)
	}
	defer m.Close()
	p, err := verdict(ebpf.SchedCLS, tcActOK)
	if err != nil {
		return "", err
	}
	defer p.Close()
	return "loaded a program and a map", nil
}

func tryBPFFS() (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err != nil {
		return "", &os.PathError{Op: "statfs", Path: "/sys/fs/bpf", Err: err}
	}
	if st.Type != unix.BPF_FS_MAGIC {
		return "", fmt.Errorf("/sys/fs/bpf is not a BPF file system")
	}
	return "mounted at /sys/fs/bpf", nil
}

func tryBTF() (string, error) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return "", err
	}
	return "/sys/kernel/btf/vmlinux", nil
}

func tryXDPGeneric() (string, error) { return "attached", attachXDP(link.XDPGenericMode) }

func tryXDPNative() (string, error) { return "attached on veth", attachXDP(link.XDPDriverMode) }

func attachXDP(mode link.XDPAttachFlags) error {
	return inVeth(func(a netlink.Link) error {
		p, err := verdict(ebpf.XDP, xdpPass)
		if err != nil {
			return err
		}
		defer p.Close()
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: a.Attrs().Index, Flags: mode})
		if err != nil {
			return fmt.Errorf("attach an XDP program to veth: %w", err)
		}
		return l.Close()
	})
}

func tryTCX() (string, error) {
	return "attached", inVeth(func(a netlink.Link) error {
		p, err := verdict(ebpf.SchedCLS, tcActOK)
		if err != nil {
			return err
		}
		defer p.Close()
		l, err := link.AttachTCX(link.TCXOptions{
			Program: p, Interface: a.Attrs().Index, Attach: ebpf.AttachTCXEgress,
		})
		if err != nil {
			return fmt.Errorf("attach a program with tcx: %w", err)
		}
		return l.Close()
	})
}

func tryClsact() (string, error) {
	return "attached", inVeth(func(a netlink.Link) error {
		p, err := verdict(ebpf.SchedCLS, tcActOK)
		if err != nil {
			return err
		}
		defer p.Close()
		index := a.Attrs().Index
		if err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: index,
			Handle:    netlink.MakeHandle(0xffff, 0),
			Parent:    netlink.HANDLE_CLSACT,
		}}); err != nil {
			return fmt.Errorf("add a clsact qdisc: %w", err)
		}
		if err := netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS,
				Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
			},
			Fd: p.FD(), Name: "probe", DirectAction: true,
		}); err != nil {
			return fmt.Errorf("add a cls_bpf filter: %w", err)
		}
		return nil
	})
}
