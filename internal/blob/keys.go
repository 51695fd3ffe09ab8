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
		k.recipients = append(k.recipients, parsed...)
	}
	for n, line := range keyLines(identities) {
		parsed, err := age.ParseIdentities(strings.NewReader(line))
		if err != nil {
			return Keys{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("line %d of the identities is not an age identity", n), Hint: "an identity looks like AGE-SECRET-KEY-1..."}
		}
		k.identities = append(k.identities, parsed...)
	}
	if len(k.recipients) > 0 {
		// Recipients of different strength cannot be mixed; better said now than at the first object.
		if _, err := age.EncryptReader(strings.NewReader(""), k.recipients...); err != nil {
			return Keys{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "these recipients cannot be used together", Cause: err}
		}
	}
	return k, nil
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
