package locked

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Octets in use overlap nothing, keep what is written to them, and come and go
// zeroed.
func TestAlloc(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all [][]byte
		var fill []byte
		defer func() {
			for _, b := range all {
				Free(b)
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{1, 15, 16, 17, 32, 33, 64, 256, 4095, 4096, 4097, 70000}).Draw(t, "n")
				b := Alloc(n)
				if len(b) != n || cap(b) != n || !bytes.Equal(b, make([]byte, n)) {
					t.Fatalf("%d octets: got %d of %d, not zero", n, len(b), cap(b))
				}
				v := rapid.Byte().Draw(t, "v")
				for i := range b {
					b[i] = v
				}
				all, fill = append(all, b), append(fill, v)
			},
			"free": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "i")
				b := all[i]
				all, fill = slices.Delete(all, i, i+1), slices.Delete(fill, i, i+1)
				Free(b)
				if len(b) <= pageSize && !bytes.Equal(b, make([]byte, len(b))) {
					t.Fatal("freed, and not zeroed")
				}
			},
			"": func(t *rapid.T) {
				for i, b := range all {
					if bytes.Count(b, fill[i:i+1]) != len(b) {
						t.Fatalf("octets %d of %d were changed by others", i, len(all))
					}
				}
			},
		})
	})
	if Alloc(0) != nil {
		t.Error("no octets are some")
	}
	Free(nil)
}

func TestFreeTwice(t *testing.T) {
	b, c := Alloc(32), Alloc(32)
	defer Free(c)
	Free(b)
	for what, b := range map[string][]byte{"twice": b, "in part": c[1:], "not from here": make([]byte, 32)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("freed %s without a word", what)
				}
			}()
			Free(b)
		}()
	}
}

func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 2000 {
				b := Alloc(32)
				for i := range b {
					b[i] = byte(g)
				}
				if bytes.Count(b, []byte{byte(g)}) != len(b) {
					t.Error("shared with another goroutine")
				}
				Free(b)
			}
		})
	}
	wg.Wait()
}

// What the kernel says of the pages: VmFlags lo, dd and dc are locked, not
// dumped, not copied to children; the neighbours cannot be touched.
func TestPages(t *testing.T) {
	b := Alloc(32)
	defer Free(b)
	if err := Check(); err != nil {
		t.Fatalf("%v", err)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	at := pool.slabs[32][0].base()
	var flags, before, after string
	line := ""
	for l := range strings.Lines(string(text)) {
		var from, to uintptr
		var mode string
		if n, _ := fmt.Sscanf(l, "%x-%x %s", &from, &to, &mode); n == 3 && strings.Contains(l, "-") {
			line = ""
			switch {
			case to == at:
				before = mode
			case from == at+uintptr(pageSize):
				after = mode
			case from <= at && at < to:
				line = l
			}
		}
		if rest, ok := strings.CutPrefix(l, "VmFlags:"); ok && line != "" {
			flags = rest
		}
	}
	for _, f := range []string{"lo", "dd", "dc"} {
		if !slices.Contains(strings.Fields(flags), f) {
			t.Errorf("the page has not flag %s: %s", f, flags)
		}
	}
	if before != "---p" || after != "---p" {
		t.Errorf("the pages beside it are %s and %s", before, after)
	}
}
