// Package identity checks proofs of who somebody is: passwords, the codes of an authenticator, and what an OpenID Connect server
// says. It keeps nothing and decides nothing: who a proof belongs to and what that one may do is told by platform.
package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is the work of Argon2id.
type Cost struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultCost takes about a tenth of a second; RFC 9106 recommends its memory where memory is scarce.
var DefaultCost = Cost{Memory: 64 << 10, Time: 3, Threads: 1}

// The bounds within which a stored hash is believed: a damaged one must not take all memory.
const (
	maxMemory = 1 << 20
	maxTime   = 64
	saltSize  = 16
	hashSize  = 32
)

// HashPassword returns the password's hash in the usual text form, with its parameters and a salt.
func HashPassword(password string, c Cost) string {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails: crypto/rand ends the process instead
	hash := argon2.IDKey([]byte(password), salt, c.Time, c.Memory, c.Threads, hashSize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Time, c.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(hash))
}

// VerifyPassword says whether the password is the one that was hashed. A text that is no hash costs as much as a wrong password of
// cost c: one cannot tell from outside whether there was one.
func VerifyPassword(encoded, password string, c Cost) bool {
	stored, salt, hash, ok := parseHash(encoded)
	if !ok {
		stored, salt, hash = c, make([]byte, saltSize), make([]byte, hashSize)
	}
	got := argon2.IDKey([]byte(password), salt, stored.Time, stored.Memory, stored.Threads, hashSize)
	return subtle.ConstantTimeCompare(got, hash) == 1 && ok
}

// CostOf returns the cost of a stored hash; false when it is none.
func CostOf(encoded string) (Cost, bool) {
	c, _, _, ok := parseHash(encoded)
	return c, ok
}

func parseHash(encoded string) (c Cost, salt, hash []byte, ok bool) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Time, &c.Threads); err != nil {
		return c, nil, nil, false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	hash, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	ok = err1 == nil && err2 == nil && len(salt) == saltSize && len(hash) == hashSize && c.Memory > 0 && c.Memory <= maxMemory && c.Time > 0 && c.Time <= maxTime && c.Threads > 0
	return c, salt, hash, ok
}
