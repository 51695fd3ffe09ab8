package holdfast

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Verifier is what a server keeps of a password under SCRAM-SHA-256 (RFC 5803): enough to check a client's proof, too little
// to make one.
type Verifier struct {
	Iterations int
	Salt       []byte
	StoredKey  [sha256.Size]byte
	ServerKey  [sha256.Size]byte
}

// ParseVerifier reads pg_authid.rolpassword: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the three last in
// base64. Other forms (md5, no password) are Invalid.
func ParseVerifier(s string) (Verifier, error) {
	bad := func() (Verifier, error) {
		return Verifier{}, &Error{Kind: Invalid, Message: "not a SCRAM-SHA-256 verifier"}
	}
	rest, found := strings.CutPrefix(s, "SCRAM-SHA-256$")
	head, keys, found2 := strings.Cut(rest, "$")
	iterations, salt, found3 := strings.Cut(head, ":")
	stored, server, found4 := strings.Cut(keys, ":")
	if !found || !found2 || !found3 || !found4 {
		return bad()
	}
	n, err := strconv.Atoi(iterations)
	if err != nil || n < 1 {
		return bad()
	}
	v := Verifier{Iterations: n}
	if v.Salt, err = base64.StdEncoding.DecodeString(salt); err != nil || len(v.Salt) == 0 {
		return bad()
	}
	for _, key := range []struct {
		text string
		into *[sha256.Size]byte
	}{{stored, &v.StoredKey}, {server, &v.ServerKey}} {
		b, err := base64.StdEncoding.DecodeString(key.text)
		if err != nil || len(b) != sha256.Size {
			return bad()
		}
		copy(key.into[:], b)
	}
	return v, nil
}

// String is the form that ParseVerifier reads and that CREATE ROLE ... PASSWORD accepts.
func (v Verifier) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", v.Iterations, b64(v.Salt), b64(v.StoredKey[:]), b64(v.ServerKey[:]))
}
