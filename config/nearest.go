package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// warnUnknown names variables that look like ours and are not. In .env a name counts that begins
// like one of ours or is nearly one; the real environment is full of strangers, so there it takes
// more.
func (s *Settings) warnUnknown(src *sources) {
	known := knownNames()
	warn := func(name, where string, loose bool) {
		if _, ok := known[name]; ok {
			return
		}
		if st, ok := known[strings.TrimSuffix(name, "_FILE")]; ok && name != st.Name {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s (%s) is not read: only secrets under their own name have a _FILE form. Set %s.",
				name, where, st.Name))
			return
		}
		if near := nearest(name, known, loose); near != "" {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s (%s) is no setting of this program. Did you mean %s?", name,
				where, near))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(src.env)) {
		warn(name, "environment", false)
	}
	for _, name := range slices.Sorted(maps.Keys(src.file)) {
		warn(name, src.file[name].source, true)
	}
}

// nearest is the known name that name seems to be meant for, or "".
func nearest(name string, known map[string]Setting, loose bool) string {
	upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if _, ok := known[upper]; ok {
		return upper
	}
	ours := strings.HasPrefix(upper, "SMTP_RELAY_")
	best, least := "", 1000
	for _, k := range slices.Sorted(maps.Keys(known)) {
		d := distance(upper, k)
		begins := len(upper) >= 7 && (strings.HasPrefix(k, upper) || strings.HasPrefix(upper, k+"_"))
		almost := loose && d <= 2 && len(k) >= 8 || d <= 1 && len(k) > 8 // SSL_CERT_FILE and API_KEY may be anybody's
		if !ours && !almost && (!begins || !loose) {
			continue
		}
		if begins {
			d = min(d, 2)
		}
		if d < least {
			best, least = k, d
		}
	}
	if ours && least > 3 {
		return "SMTP_RELAY_HOST, SMTP_RELAY_PORT, SMTP_RELAY_USERNAME or SMTP_RELAY_PASSWORD"
	}
	if st, old := known[best]; old && best != st.Name && !strings.HasSuffix(best, "_FILE") {
		return st.Name
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make
// b of a.
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, row = prev, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
