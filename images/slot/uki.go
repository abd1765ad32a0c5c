package slot

import (
	"fmt"

	"github.com/linkseal/linkseal/images/part"
)

// UKI is an Entry with what it boots.
type UKI struct {
	Entry
	Size int64
	Boot part.Boot
	Err  error // why that cannot be known: it would not boot either
}

// Reader lists and reads the files in systemd-boot's directory.
type Reader interface {
	Files() ([]File, error)
	Open(name string) (ReadCloserAt, error)
}

// Contents are linkseal's UKIs, and what installs that did not end have
// left. Others' files are not told, and not touched.
func Contents(r Reader) (ukis []UKI, left []File, err error) {
	files, err := r.Files()
	if err != nil {
		return nil, nil, fmt.Errorf("EFI system partition: %w", err)
	}
	for _, f := range files {
		if leftover(f.Name) {
			left = append(left, f)
		}
		e, ours := ParseEntry(f.Name)
		if !ours {
			continue
		}
		u := UKI{Entry: e, Size: f.Size}
		u.Boot, u.Err = readBoot(r, f.Name)
		ukis = append(ukis, u)
	}
	return ukis, left, nil
}

func readBoot(r Reader, name string) (part.Boot, error) {
	f, err := r.Open(name)
	if err != nil {
		return part.Boot{}, err
	}
	defer f.Close()
	return part.UKIBoot(f)
}
