package slot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What SecureBoot says.
const (
	On     = "on"
	Off    = "off"
	NoUEFI = "no UEFI"
)

// secureBoot is the firmware's variable: four octets of attributes, then 1 or 0.
const secureBoot = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// SecureBoot says whether the firmware let only signed programs boot.
func SecureBoot(sys string) (string, error) {
	b, err := os.ReadFile(filepath.Join(sys, secureBoot))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(sys, "firmware/efi")); err != nil {
			return NoUEFI, nil
		}
		if all, err := os.ReadDir(filepath.Join(sys, "firmware/efi/efivars")); err != nil || len(all) == 0 {
			return "", fmt.Errorf("the firmware's variables are not at %s; mount efivarfs there", filepath.Join(sys, "firmware/efi/efivars"))
		}
		return Off, nil // firmware that knows no Secure Boot
	case err != nil:
		return "", fmt.Errorf("the firmware's variable: %w", err)
	case len(b) != 5:
		return "", fmt.Errorf("the firmware's variable has %d octets, not 5", len(b))
	case b[4] == 1:
		return On, nil
	}
	return Off, nil
}
