package ipsec

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// private refuses a directory for charon in which somebody else may put a
// strongswan.conf or a socket, by which he would be given the PSKs: it has to be
// ours, of mode 0700, no symbolic link, and nobody else may rename it or what is
// above it.
func private(dir string) error {
	refuse := func(path, why string) error {
		return fmt.Errorf("charon's directory %s: %s %s; let control.socket be in a directory that root alone can write to, as /run/linkseal", dir, path, why)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for at, above := dir, false; ; at, above = filepath.Dir(at), true {
		i, err := os.Lstat(at)
		if err != nil {
			return err
		}
		owner := i.Sys().(*syscall.Stat_t).Uid
		switch mode := i.Mode(); {
		case !above && !mode.IsDir():
			return refuse(at, "is no directory")
		case !above && owner != uint32(os.Geteuid()):
			return refuse(at, fmt.Sprintf("is user %d's", owner))
		case !above && mode.Perm()&0o077 != 0:
			return refuse(at, fmt.Sprintf("has mode %04o, which lets others in; 0700 is accepted", mode.Perm()))
		case above && owner != 0 && owner != uint32(os.Geteuid()):
			return refuse(at, fmt.Sprintf("is user %d's, who may replace what is in it", owner))
		// Of a sticky directory only the owner renames what is his.
		case above && mode.IsDir() && mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0:
			return refuse(at, fmt.Sprintf("has mode %04o: others may replace what is in it", mode.Perm()))
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
