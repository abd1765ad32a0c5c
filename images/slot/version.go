package slot

import "strings"

// Compare orders the versions of images as systemd-boot does: number by number,
// whatever the zeros before it; where one ends first, it is the older.
func Compare(a, b string) int {
	for a != "" || b != "" {
		if a == "" || b == "" {
			return len(a) - len(b)
		}
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}
