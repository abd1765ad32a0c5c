package vm

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// signatureMark ends a module that is signed. Before it is a struct
// module_signature (include/linux/module_signature.h), 12 octets, of which the
// last four are the length of the signature before that, big-endian.
const signatureMark = "~Module signature appended~\n"

// unsign takes the signatures off all modules below dir, once: an emulated
// processor takes seconds to verify those that a run of tests loads, and
// Debian's kernel loads them without.
func unsign(dir string) error {
	done := filepath.Join(dir, "unsigned")
	if fileExists(done) {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".ko") {
			return err
		}
		return unsignFile(path)
	})
	if err != nil {
		return fmt.Errorf("take the signatures off the modules: %w", err)
	}
	return os.WriteFile(done, nil, 0o644)
}

// unsignFile cuts one module to what was signed. Another vmrun may be doing the
// same: both cut to the same length.
func unsignFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	const trailer = 12 + int64(len(signatureMark))
	end := make([]byte, trailer)
	if st.Size() < trailer {
		return nil
	}
	if n, _ := f.ReadAt(end, st.Size()-trailer); n < len(end) || string(end[12:]) != signatureMark {
		return nil
	}
	content := st.Size() - trailer - int64(binary.BigEndian.Uint32(end[8:]))
	if content <= 0 {
		return fmt.Errorf("%s: its signature is longer than the file", path)
	}
	return f.Truncate(content)
}
