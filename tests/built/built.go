// Package built finds the linkseal that tests run as a process.
package built

import (
	"fmt"
	"os"
	"path/filepath"
)

// Linkseal is the one that LINKSEAL_BIN names, else the repository's
// bin/linkseal, for tests two folders below its root. The path is absolute.
func Linkseal() (string, error) {
	path := os.Getenv("LINKSEAL_BIN")
	if path == "" {
		path = "../../bin/linkseal"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("no linkseal to test: %w; run make first, or set LINKSEAL_BIN", err)
	}
	return path, nil
}
