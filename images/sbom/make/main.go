// Command make writes the SBOM of an image.
//
//	SOURCE_DATE_EPOCH=N make VERSION STATUS ROOT >FILE.spdx.json
//
// STATUS is dpkg's status file, ROOT the image's root with the licences and linkseal.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/linkseal/linkseal/images/sbom"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: make VERSION STATUS ROOT")
	}
	version, status, root := args[0], args[1], args[2]
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w; it is the time of the sources, in seconds", err)
	}
	f, err := os.Open(status)
	if err != nil {
		return err
	}
	defer f.Close()
	debs, err := sbom.ReadStatus(f)
	if err != nil {
		return fmt.Errorf("%s: %w", status, err)
	}
	binary, err := buildinfo.ReadFile(filepath.Join(root, "usr/bin/linkseal"))
	if err != nil {
		return err
	}
	licence := func(deb string) string {
		text, err := os.ReadFile(filepath.Join(root, "usr/share/doc", deb, "copyright"))
		if err != nil {
			return "" // it shares another package's documentation
		}
		return sbom.Declared(string(text))
	}
	module, err := modules()
	if err != nil {
		return err
	}
	d, err := sbom.Build(sbom.Image{
		Version: version, Made: time.Unix(seconds, 0),
		Debs: debs, Licence: licence, ModuleLicence: module, Binary: binary,
	})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	return out.Encode(d)
}
