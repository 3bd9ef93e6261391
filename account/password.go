package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What HashPassword makes: argon2id with 19 MiB, two passes and one lane.
const (
	hashMemory = 19 * 1024 // KiB
	hashPasses = 2
	hashLanes  = 1
	hashSalt   = 16
	hashKey    = 32
)

// What CheckHash accepts. The upper bounds keep one line of SMTP_USERS from taking the whole
// machine at every login.
const (
	maxHashMemory = 256 * 1024 // KiB
	maxHashPasses = 16
	maxHashLanes  = 16
	minHashSalt   = 8
	minHashKey    = 16
	maxHashBytes  = 64 // of the salt, and of the key
	maxBcryptCost = 16
)

// HashPassword makes the line that SMTP_USERS keeps instead of a password: argon2id in the PHC
// string form "$argon2id$v=19$m=19456,t=2,p=1$salt$key", with a fresh salt each time. An empty
// password is refused.
func HashPassword(password string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
	}
	salt := make([]byte, hashSalt)
	rand.Read(salt) // never fails: crypto/rand ends the program instead
	key := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashLanes, hashKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashPasses, hashLanes,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// CheckHash reports whether hash is one that a login can be checked against: bcrypt ($2a$, $2b$,
// $2y$) or argon2id, with parameters that this machine can afford. The error says what is wrong and
// never quotes the hash.
func CheckHash(hash string) error {
	_, err := parseHash(hash)
	return err
}

// A hash tells whether a password is the one it was made from.
type hash interface{ matches(password string) bool }

func parseHash(s string) (hash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "$argon2"):
		return nil, errors.New("argon2i and argon2d are not supported: use argon2id")
	default:
		return nil, errors.New("neither a bcrypt hash ($2b$…) nor an argon2id hash ($argon2id$…)")
	}
}

type bcryptHash string

func parseBcrypt(s string) (hash, error) {
	const length = 60
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || len(s) != length {
		return nil, errors.New("damaged bcrypt hash")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("bcrypt cost %d is above %d", cost, maxBcryptCost)
	}
	for _, c := range []byte(s[7:]) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '.' || c == '/') {
			return nil, errors.New("damaged bcrypt hash")
		}
	}
	return bcryptHash(s), nil
}

func (h bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil
}

type argon2Hash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

// parseArgon2 reads "$argon2id$v=19$m=19456,t=2,p=1$salt$key".
func parseArgon2(s string) (hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 {
		return nil, errors.New("damaged argon2id hash: it has the form $argon2id$v=19$m=…,t=…,p=…$salt$key")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("argon2id version must be %d", argon2.Version)
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return nil, errors.New("argon2id parameters must be m, t and p")
	}
	m, err1 := hashParam(params[0], "m=", 8, maxHashMemory)
	t, err2 := hashParam(params[1], "t=", 1, maxHashPasses)
	p, err3 := hashParam(params[2], "p=", 1, maxHashLanes)
	salt, err4 := hashBytes(parts[4], "salt", minHashSalt)
	key, err5 := hashBytes(parts[5], "key", minHashKey)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	return &argon2Hash{memory: m, passes: t, lanes: uint8(p), salt: salt, key: key}, nil
}

func hashParam(s, name string, least, most uint64) (uint32, error) {
	digits, ok := strings.CutPrefix(s, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || n < least || n > most {
		return 0, fmt.Errorf("argon2id parameter %s must be a number from %d to %d", strings.TrimSuffix(name, "="), least, most)
	}
	return uint32(n), nil
}

func hashBytes(s, name string, least int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("argon2id %s is not base64", name)
	}
	if len(b) < least || len(b) > maxHashBytes {
		return nil, fmt.Errorf("argon2id %s must have %d to %d bytes", name, least, maxHashBytes)
	}
	return b, nil
}

func (h *argon2Hash) matches(password string) bool {
	key := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}
