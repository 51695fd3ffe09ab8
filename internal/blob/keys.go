package blob

import (
	"fmt"
	"iter"
	"strings"

	"filippo.io/age"

	"github.com/holdfast/holdfast"
)

// Keys are age keys: recipients (public) that can read what is put from now on, and identities (secret) with which objects are read.
//
// A key is rotated by putting a new one first in both lists: what is put then can be read with it, and what was put before with the old
// identity, which stays until the last such object has gone.
type Keys struct {
	recipients []age.Recipient
	identities []age.Identity

	recipientNames []string // as text
	sealKeys       [][]byte // one made from each identity
}

// NewKey makes a key: the recipient, age1..., which may be known, and the identity, AGE-SECRET-KEY-1..., without which nothing can be read.
func NewKey() (recipient, identity string, err error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make an age key: %w", err)
	}
	return key.Recipient().String(), key.String(), nil
}

// ParseKeys reads keys as the age tool writes them, one in a line; empty lines and lines that begin with # do not count. Without a recipient
// nothing can be put, and without an identity nothing can be read. No error repeats what was given.
func ParseKeys(recipients, identities string) (Keys, error) {
	var k Keys
	for n, line := range keyLines(recipients) {
		parsed, err := age.ParseRecipients(strings.NewReader(line))
		if err != nil {
			return Keys{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("line %d of the recipients is not an age recipient", n), Hint: "a recipient looks like age1..."}
		}
		k.recipients, k.recipientNames = append(k.recipients, parsed...), append(k.recipientNames, line)
	}
	for n, line := range keyLines(identities) {
		parsed, err := age.ParseIdentities(strings.NewReader(line))
		if err != nil {
			return Keys{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("line %d of the identities is not an age identity", n), Hint: "an identity looks like AGE-SECRET-KEY-1..."}
		}
		k.identities, k.sealKeys = append(k.identities, parsed...), append(k.sealKeys, sealKey(line))
	}
	if len(k.recipients) > 0 {
		// Recipients of different strength cannot be mixed; better said now than at the first object.
		if _, err := age.EncryptReader(strings.NewReader(""), k.recipients...); err != nil {
			return Keys{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "these recipients cannot be used together", Cause: err}
		}
	}
	return k, nil
}

// PairKeys reads a file with age identities, as the age tool or a list of this project's keys has them, and gives a recipient and its identity
// each, in the file's order. Lines with recipients do not count: an identity has its own.
func PairKeys(file string) (pairs [][2]string, err error) {
	for n, line := range keyLines(file) {
		if strings.HasPrefix(line, "age1") {
			continue
		}
		key, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("line %d of the keys is not an age identity", n), Hint: "an identity looks like AGE-SECRET-KEY-1..."}
		}
		pairs = append(pairs, [2]string{key.Recipient().String(), key.String()})
	}
	if len(pairs) == 0 {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "there is no age identity among the keys", Hint: "an identity looks like AGE-SECRET-KEY-1..."}
	}
	return pairs, nil
}

// SealedByAge says whether the object that begins with these bytes is encrypted as Encrypted does it.
func SealedByAge(beginning []byte) bool {
	return strings.HasPrefix(string(beginning), "age-encryption.org/")
}

// keyLines gives the lines that hold a key, with their numbers.
func keyLines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i, line := range strings.Split(text, "\n") {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") && !yield(i+1, line) {
				return
			}
		}
	}
}

// String counts the keys and does not tell them.
func (k Keys) String() string {
	return fmt.Sprintf("%d recipients, %d identities", len(k.recipients), len(k.identities))
}

// GoString is String: no format prints the keys.
func (k Keys) GoString() string { return k.String() }
