package strict

// nearest is the known name at the smallest edit distance from s, if that is
// at most half its length and 3; empty otherwise.
func nearest(s string, known []string) string {
	best, at := "", 0
	for _, k := range known {
		if len(s) > 2*len(k)+2 {
			continue
		}
		if d := distance(s, k); d <= min(3, max(1, len(k)/2)) && (best == "" || d < at) {
			best, at = k, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(diag+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
