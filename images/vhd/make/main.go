// Command make makes a fixed VHD of a disk: appends the footer to it.
//
//	SOURCE_DATE_EPOCH=N make NAME DISK
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/linkseal/linkseal/images/vhd"
)

func main() {
	err := func() error {
		if len(os.Args) != 3 {
			return errors.New("usage: make NAME DISK")
		}
		seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w; it is the time of the sources, in seconds", err)
		}
		return add(os.Args[2], time.Unix(seconds, 0), os.Args[1])
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

func add(path string, made time.Time, name string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	footer, err := vhd.Footer(info.Size(), made, name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := f.WriteAt(footer, info.Size()); err != nil {
		return err
	}
	return f.Close()
}
