package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/holdfast/holdfast"
)

// Iterations and salt length that PostgreSQL uses for a new password.
const (
	scramIterations = 4096
	scramSaltLength = 16
)

// NewVerifier computes what a server keeps of a password under SCRAM-SHA-256 (RFC 5802, RFC 7677), so that the password
// itself never travels in SQL. The password is prepared as PostgreSQL prepares it.
func NewVerifier(password string) (holdfast.Verifier, error) {
	salt := make([]byte, scramSaltLength)
	_, _ = rand.Read(salt) // never fails
	return verifierWithSalt(password, salt, scramIterations)
}

func verifierWithSalt(password string, salt []byte, iterations int) (holdfast.Verifier, error) {
	salted, err := pbkdf2.Key(sha256.New, prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return holdfast.Verifier{}, fmt.Errorf("compute a verifier: %w", err)
	}
	v := holdfast.Verifier{Iterations: iterations, Salt: salt}
	v.StoredKey = sha256.Sum256(keyed(salted, "Client Key"))
	copy(v.ServerKey[:], keyed(salted, "Server Key"))
	return v, nil
}

func keyed(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
