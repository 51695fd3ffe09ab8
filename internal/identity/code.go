package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// One-time codes of an authenticator as RFC 6238 has them, with what every authenticator understands: SHA-1, 30 seconds, 6 digits.
const (
	codeStep   = 30 * time.Second
	codeDigits = 6
	// codeDrift is how many steps an authenticator's clock may be off, each way.
	codeDrift = 1
)

// NewCodeSecret makes a secret to share with an authenticator: 160 bits, the size of the hash.
func NewCodeSecret() []byte {
	secret := make([]byte, sha1.Size)
	rand.Read(secret) // never fails: crypto/rand ends the process instead
	return secret
}

// CodeSecretText is the secret as people type it into an authenticator.
func CodeSecretText(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// CodeURL is the secret as an authenticator reads it from a picture.
func CodeURL(secret []byte, issuer, name string) string {
	q := url.Values{"secret": {CodeSecretText(secret)}, "issuer": {issuer}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + name, RawQuery: q.Encode()}
	return u.String()
}

// CheckCode returns the step of the code if it is right at the time now, and not of the step after or before it: each code is to be
// taken once, and none from before.
func CheckCode(secret []byte, code string, now time.Time, after int64) (step int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	for s := stepAt(now) - codeDrift; s <= stepAt(now)+codeDrift; s++ {
		if subtle.ConstantTimeCompare([]byte(Code(secret, s)), []byte(code)) == 1 && s > after {
			step, ok = s, true
		}
	}
	return step, ok
}

// CodeAt is the code that an authenticator shows at a time.
func CodeAt(secret []byte, at time.Time) string { return Code(secret, stepAt(at)) }

func stepAt(t time.Time) int64 { return t.Unix() / int64(codeStep/time.Second) }

// Code is the code of a step: RFC 4226 with the step as its counter.
func Code(secret []byte, step int64) string { return truncate(secret, step, codeDigits) }

func truncate(secret []byte, step int64, digits int) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	n := uint64(binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff)
	mod := uint64(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%mod)
}
