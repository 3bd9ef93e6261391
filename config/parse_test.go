package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dinkymail/account"
)

// Sizes are bytes or powers of 1024, however the unit is written.
func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "25MiB": 25 << 20, "25M": 25 << 20, "25 mb": 25 << 20, "1k": 1024,
		"10GiB": 10 << 30, "1T": 1 << 40,
		"500B": 500, "9223372036854775807": 1<<63 - 1} {
		var got int64
		if err := size(&got, 0)(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "M", "-1", "1.5M", "1 0", "9223372036854775808", "9007199254740992k", "10XB", "0x10"} {
		var got int64
		if err := size(&got, 0)(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

// Durations are Go's, and days.
func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"5d": 5 * day, "1d12h": 36 * time.Hour, "90s": 90 * time.Second,
		"1h30m": 90 * time.Minute,
		"10M":   10 * time.Minute, "0": 0, "0s": 0, "36500d": 36500 * day, "1.5h": 90 * time.Minute} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "5", "-1h", "+1h", "1d-2h", "1d+1h", "36501d", "36500d1h", "9999999d", "2540400h",
		"1w", "5 d", "soon"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// Rates are a number per unit or per duration, and 0 is none.
func TestRates(t *testing.T) {
	for text, want := range map[string]time.Duration{"10/min": time.Minute, "10/m": time.Minute, "10/hour": time.Hour,
		"10 / 30s": 30 * time.Second,
		"10/d":     24 * time.Hour, "10 per minute": time.Minute, "10/s": time.Second} {
		var s Settings
		if err := rate(&s.HTTP.FormRate)(text); err != nil || s.HTTP.FormRate.N != 10 || s.HTTP.FormRate.Per != want {
			t.Errorf("%q: got %+v, %v", text, s.HTTP.FormRate, err)
		}
	}
}

const (
	bcryptHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	argonHash  = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b/dWRWJTmaaJObGRdescudvJCs"
)

// A comma inside an argon2 hash does not end an account; one before the next account does.
func TestUserLists(t *testing.T) {
	for text, want := range map[string]string{
		"ada:" + bcryptHash: "ada",
		"ada:" + argonHash + ",grace:" + argonHash + ",eve:" + bcryptHash:                         "ada eve grace",
		"ada:" + argonHash + "\ngrace@example.com:" + bcryptHash + "\n":                           "ada grace@example.com",
		"# accounts\n\nada:" + argonHash + ",\r\n grace : " + bcryptHash + " \n":                  "ada grace",
		"ada:" + bcryptHash + ", grace:" + argonHash + "\neve:" + bcryptHash + ",b:" + bcryptHash: "ada b eve grace",
	} {
		var got map[string]string
		if err := users(&got)(text); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if names := sortedNames(got); names != want {
			t.Errorf("%q: got %s, want %s", text, names, want)
		}
		for name, hash := range got {
			if hash != bcryptHash && hash != argonHash {
				t.Errorf("%q: the hash of %s became %q", text, name, hash)
			}
		}
	}
	for text, says := range map[string]string{
		"ada:" + bcryptHash + ",bob:plain":         `"bob" is no hash`,
		"ada:" + bcryptHash + ",ada:" + bcryptHash: `"ada" stands there twice`,
		bcryptHash: "entry 1 is no name:hash",
		"ada:" + strings.TrimPrefix(argonHash, "$"):      `"ada" is no hash`,
		"ada:" + strings.Replace(argonHash, "m=", "", 1): `the hash of "ada" cannot be used`,
	} {
		var got map[string]string
		err := users(&got)(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %s", text, err, says)
		}
		if err != nil && (strings.Contains(err.Error(), "plain") || strings.Contains(err.Error(), bcryptHash)) {
			t.Errorf("%q: shown in %v", text, err)
		}
	}
}

// A hash in single quotes comes through .env into SMTP_USERS as it was made.
func TestUsersFromDotenv(t *testing.T) {
	hash, err := account.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"SMTP_USERS='ada:" + hash + ",bob:" + bcryptHash + "'", "SMTP_USERS=ada:" + hash + ",bob:" +
		bcryptHash} {
		s := with(t, ok+"\n"+line+"\n")
		if s.err != nil || s.Account.Users["ada"] != hash || s.Account.Users["bob"] != bcryptHash {
			t.Errorf("got %v, %v", s.Account.Users, s.err)
		}
		if warned := len(s.Warnings) > 0; warned == strings.Contains(line, "'") {
			t.Errorf("warned %v: %v", warned, s.Warnings)
		}
	}
}

func sortedNames(users map[string]string) string {
	var names []string
	for name := range users {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Any list of accounts: no crash, no account without name and usable hash.
func FuzzUsers(f *testing.F) {
	for _, seed := range []string{"ada:" + bcryptHash, "ada:" + argonHash + ",b:" + bcryptHash, "a:$\n,b", ",,:", "a:b,c", "#\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got map[string]string
		if users(&got)(text) != nil {
			return
		}
		for name, hash := range got {
			if name == "" || account.CheckHash(hash) != nil || !strings.Contains(text, hash) {
				t.Errorf("%q: account %q with hash %q", text, name, hash)
			}
		}
	})
}

// Sizes, durations, rates, networks and listeners: no crash, nothing below zero.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"25MiB", "5d12h", "10/min", "10.0.0.0/8", "[::1]:25", "9999999999999999999999",
		"a:0123456789abcdef:*|@x", "*.example.com", "a@b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n int64
		if size(&n, 0)(text) == nil && n < 0 {
			t.Errorf("size %q is %d", text, n)
		}
		if d, err := parseDuration(text); err == nil && (d < 0 || d > longest) {
			t.Errorf("duration %q is %v", text, d)
		}
		var s Settings
		if rate(&s.HTTP.FormRate)(text) == nil && (s.HTTP.FormRate.N < 0 || s.HTTP.FormRate.Per < 0) {
			t.Errorf("rate %q is %+v", text, s.HTTP.FormRate)
		}
		for _, g := range s.groups() {
			for _, st := range g.Settings {
				if st.set != nil {
					_ = st.set(text) // must not panic
				}
			}
		}
	})
}
