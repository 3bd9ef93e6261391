package account

import (
	"strings"
	"testing"
)

// What HashPassword makes matches its password and no other, and no two are alike.
func TestHashPassword(t *testing.T) {
	first, err := HashPassword("p@ss$1 wörd")
	if err != nil {
		t.Fatal(err)
	}
	second, err := HashPassword("p@ss$1 wörd")
	if err != nil || first == second {
		t.Errorf("two hashes of one password are alike, or %v", err)
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %s", first)
	}
	h, err := parseHash(first)
	if err != nil || !h.matches("p@ss$1 wörd") || h.matches("p@ss$1 word") || h.matches("") {
		t.Errorf("the hash does not tell its password apart: %v", err)
	}
	if _, err := HashPassword(""); err == nil {
		t.Error("an empty password was hashed")
	}
}

// bcrypt hashes of other programs work, in all their dialects.
func TestBcrypt(t *testing.T) {
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		h, err := parseHash(prefix + cheap[4:])
		if err != nil || !h.matches("geheim") || h.matches("falsch") {
			t.Errorf("%s: %v", prefix, err)
		}
	}
}

// Hashes that are damaged, of another kind, or too dear for this machine are told apart before
// anybody logs in.
func TestCheckHash(t *testing.T) {
	const salt, key = "c2FsdHNhbHRzYWx0c2FsdA", "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5"
	for hash, want := range map[string]string{
		cheap: "",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key: "",
		"":                                  "neither",
		"geheim":                            "neither",
		"$6$rounds=5000$salt$hash":          "neither",
		cheap[:59]:                          "damaged bcrypt",
		cheap + "x":                         "damaged bcrypt",
		"$2a$31$" + cheap[7:]:               "cost 31",
		"$2a$04$" + strings.Repeat("!", 53): "damaged bcrypt",
		"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + key:        "use argon2id",
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + key:       "version must be 19",
		"$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + key:     "parameter m",
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + key:       "parameter t",
		"$argon2id$v=19$m=19456,t=2,p=256$" + salt + "$" + key:     "parameter p",
		"$argon2id$v=19$m=19456,t=2$" + salt + "$" + key:           "must be m, t and p",
		"$argon2id$v=19$m=19456,t=2,p=1$c2Fs$" + key:               "salt must have",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$c2Fs":         "key must have",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "!": "key is not base64",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt:                   "damaged argon2id",
	} {
		err := CheckHash(hash)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", hash, err, want)
		}
		if err != nil && len(hash) > 20 && strings.Contains(err.Error(), hash) {
			t.Errorf("the error quotes the hash: %v", err)
		}
	}
}

// FuzzCheckHash: no text makes the parser panic, and what it accepts costs no more than the named
// limits.
func FuzzCheckHash(f *testing.F) {
	f.Add(cheap)
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Add("$argon2id$$$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if (err == nil) != (CheckHash(text) == nil) {
			t.Fatal("CheckHash and parseHash differ")
		}
		a, ok := h.(*argon2Hash)
		if err != nil || !ok {
			return
		}
		if a.memory > maxHashMemory || a.passes < 1 || a.passes > maxHashPasses || a.lanes < 1 || a.lanes > maxHashLanes ||
			len(a.salt) < minHashSalt || len(a.key) < minHashKey || len(a.key) > maxHashBytes || len(a.salt) > maxHashBytes {
			t.Fatalf("accepted %+v", a)
		}
	})
}
