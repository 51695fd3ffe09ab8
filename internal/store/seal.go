package store

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/holdfast/holdfast"
)

// KeySize is the size of the key that seals secrets, in bytes.
const KeySize = chacha20poly1305.KeySize

// sealer encrypts single values with XChaCha20-Poly1305. Its random nonce is long enough never to repeat. The name of the
// value is authenticated with it, so that a sealed value moved to another row does not open.
type sealer struct {
	aead cipher.AEAD
	key  []byte
}

func newSealer(key []byte) (*sealer, error) {
	if len(key) != KeySize {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the key file holds %d bytes instead of %d", len(key), KeySize), Hint: "put back the secret.key that belongs to this data directory"}
	}
	aead, err := chacha20poly1305.NewX(key)
	return &sealer{aead, bytes.Clone(key)}, err
}

func (s *sealer) seal(name string, secret []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(secret)+s.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return s.aead.Seal(nonce, nonce, secret, []byte(name)), nil
}

func (s *sealer) open(name string, sealed []byte) ([]byte, error) {
	if len(sealed) < s.aead.NonceSize() {
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: "a sealed value is too short"}
	}
	secret, err := s.aead.Open(nil, sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():], []byte(name))
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: "a sealed value does not open with this key", Cause: err}
	}
	return secret, nil
}

// sign proves to whoever has the key that data was said for a purpose. Each purpose has a key of its own.
func (s *sealer) sign(purpose string, data []byte) []byte {
	derive := hmac.New(sha256.New, s.key)
	derive.Write([]byte("sign/" + purpose))
	mac := hmac.New(sha256.New, derive.Sum(nil))
	mac.Write(data)
	return mac.Sum(nil)
}

// Sign proves to whoever has the key file that data was said for a purpose. The same data have the same signature.
func (s *Store) Sign(purpose string, data []byte) []byte { return s.seal.sign(purpose, data) }

func encode(b []byte) string          { return base64.StdEncoding.EncodeToString(b) }
func decode(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }
