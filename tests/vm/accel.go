package vm

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// Processor is what QEMU is told of the guest's processors: KVM's where that can
// be, else emulated ones.
func Processor() []string {
	if canKVM() {
		return []string{"-cpu", "max", "-accel", "kvm", "-accel", "tcg,thread=multi"}
	}
	return []string{"-cpu", emulated, "-accel", "tcg,thread=multi"}
}

// canKVM tells whether KVM can run the guest: the device opens and the
// processor virtualises in hardware. A host that is itself a PVM guest has the
// device without that; only kernels made for PVM boot there, Debian's hangs.
func canKVM() bool {
	if unix.Access("/dev/kvm", unix.R_OK|unix.W_OK) != nil {
		return false
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && virtualises(info)
}

// virtualises finds the flag vmx (Intel) or svm (AMD) in /proc/cpuinfo.
func virtualises(cpuinfo []byte) bool {
	for line := range bytes.Lines(cpuinfo) {
		name, flags, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(name)) != "flags" {
			continue
		}
		for flag := range bytes.FieldsSeq(flags) {
			if string(flag) == "vmx" || string(flag) == "svm" {
				return true
			}
		}
	}
	return false
}
