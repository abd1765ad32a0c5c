package erase

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

// What Do leaves on the heap is zero once it has been collected, where it is
// said to be: the address is read through /proc/self/mem, as nothing else may
// look at freed memory.
func TestDo(t *testing.T) {
	if !Enabled {
		ran := false
		Do(func() { ran = true })
		if !ran {
			t.Error("Do did not run it")
		}
		return
	}
	var at uintptr
	Do(func() {
		b := make([]byte, 64)
		for i := range b {
			b[i] = 0xa5
		}
		at = uintptr(unsafe.Pointer(&b[0]))
		escaped = b
		escaped = nil
	})
	runtime.GC()
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	got := make([]byte, 64)
	if _, err := mem.ReadAt(got, int64(at)); err != nil {
		t.Fatal(err)
	}
	if n := len(slices.DeleteFunc(got, func(b byte) bool { return b != 0xa5 })); n > 8 {
		t.Errorf("%d of 64 octets are still there", n)
	}
}

var escaped []byte

func TestDoPanics(t *testing.T) {
	defer func() {
		if recover() != "x" {
			t.Error("the panic was lost")
		}
	}()
	Do(func() { panic("x") })
}

func TestDoAllocatesNothing(t *testing.T) {
	var n int
	if a := testing.AllocsPerRun(100, func() { Do(func() { n++ }) }); a != 0 || n == 0 {
		t.Errorf("%v allocations, %d runs", a, n)
	}
}

func BenchmarkDo(b *testing.B) {
	n := 0
	for b.Loop() {
		Do(func() { n++ })
	}
}
