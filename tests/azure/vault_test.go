package azure

import (
	"testing"
)

func TestSetGet(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	v1 := set(t, s, "cak", "one")
	v2 := set(t, s, "CAK", "two")
	for version, want := range map[string]string{v1: "one", v2: "two", "": "two"} {
		got, err := get(t.Context(), s, "cak", version)
		if err != nil || got != want {
			t.Errorf("version %q is %q, %v, want %q", version, got, err, want)
		}
	}
}
