// Package mount opens the file system on a medium for reading: read-only, with
// no device, no set-uid, no program and no symbolic link in it. The mount is
// attached to no directory: it is there for the process alone, and gone with it.
package mount

import "bytes"

// header is what Kind looks at, from the beginning of a device.
const header = 0x8000 + 8*2048

// Kind is the file system that begins with head, by the name that the kernel
// gives it; empty for one that is not read.
func Kind(head []byte) string {
	at := func(offset int, magic string) bool {
		return len(head) >= offset+len(magic) && bytes.Equal(head[offset:offset+len(magic)], []byte(magic))
	}
	switch {
	case at(0x438, "\x53\xef"):
		return "ext4"
	case at(0x1fe, "\x55\xaa") && (at(0x36, "FAT12") || at(0x36, "FAT16") || at(0x52, "FAT32")):
		return "vfat"
	}
	// The volume recognition sequence of ECMA-167, one a sector. A disc that is
	// both is read as UDF: that is how Azure makes its own.
	for sector := 0x8000; sector+2048 <= header; sector += 2048 {
		if at(sector+1, "NSR02") || at(sector+1, "NSR03") {
			return "udf"
		}
	}
	if at(0x8001, "CD001") {
		return "iso9660"
	}
	return ""
}

// options are those of a mount. A medium says itself what the kernel does when it
// finds it broken, and panic is among that: it is asked for none of it.
func options(kind string) (flags []string, values map[string]string) {
	switch kind {
	case "ext4":
		return []string{"ro", "noload"}, map[string]string{"errors": "continue"} // the journal would be written
	case "vfat":
		return []string{"ro"}, map[string]string{"errors": "continue"}
	}
	return []string{"ro"}, nil
}
