package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	long := bytes.Repeat([]byte("0123456789abcdef"), maxPayload/16+1)
	if err := w.Frame(Ready, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Stream(Stdout).Write(long); n != len(long) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(long), err)
	}
	if err := w.JSON(Exit, Status{Job: 1, Code: 3}); err != nil {
		t.Fatal(err)
	}
	var kinds []Kind
	var out []byte
	for {
		k, p, err := ReadFrame(&b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, k)
		if k == Stdout {
			out = append(out, p...)
		}
	}
	if string(kinds[:3]) != "roo" || kinds[len(kinds)-1] != Exit || !bytes.Equal(out, long) {
		t.Errorf("kinds %q, %d octets; want r, at least two o, x and %d", kinds, len(out), len(long))
	}
}

func TestReadFrameRefuses(t *testing.T) {
	for name, in := range map[string][]byte{
		"too long":    {'o', 0xff, 0xff, 0xff, 0xff},
		"cut header":  {'o', 0, 0},
		"cut payload": {'o', 0, 0, 0, 5, 'a'},
	} {
		if k, _, err := ReadFrame(bytes.NewReader(in)); err == nil || errors.Is(err, io.EOF) && name != "cut header" && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: kind %q, %v", name, k, err)
		}
	}
}
