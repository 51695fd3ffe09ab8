package blob

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// keyRing is what a folder's key object holds: the folder's identities, the newest first, which alone is written with.
//
// Anybody can encrypt for a recipient, so that the object opens does not prove that it is ours; a ring of a stranger's would let us encrypt
// for the stranger. Seal proves it: only who has an identity of the location can make it.
type keyRing struct {
	Version int      `json:"version"`
	Folder  string   `json:"folder"`
	For     string   `json:"for"` // the recipients that it was made under
	Keys    []string `json:"keys"`
	Seal    string   `json:"seal"` // HMAC-SHA256 of what sealed says, in hex
}

// maxRing bounds what is read as a ring: hundreds of keys.
const maxRing = 64 << 10

// names are the recipients, as text.
func (k Keys) names() string { return strings.Join(k.recipientNames, " ") }

// newRing makes a key for a folder and puts it before the ones that it has.
func (k Keys) newRing(folder string, old keyRing) (keyRing, error) {
	if len(k.sealKeys) == 0 {
		return keyRing{}, errors.New("a folder's key is made with an identity, and there is none")
	}
	_, identity, err := NewKey()
	if err != nil {
		return keyRing{}, err
	}
	ring := keyRing{Version: 1, Folder: folder, For: k.names(), Keys: append([]string{identity}, old.Keys...)}
	ring.Seal = hex.EncodeToString(ring.sealed(k.sealKeys[0]))
	return ring, nil
}

func (r keyRing) bytes() (string, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("write the key of a folder: %w", err)
	}
	return string(raw) + "\n", nil
}

// openRing reads a ring and checks that it is of this folder and ours.
func (k Keys) openRing(folder string, raw []byte) (keyRing, error) {
	var ring keyRing
	if err := json.Unmarshal(raw, &ring); err != nil {
		return keyRing{}, errors.New("it is not JSON") // the cause could repeat what it says
	}
	if ring.Version != 1 || ring.Folder != folder || len(ring.Keys) == 0 {
		return keyRing{}, errors.New("it is of another version or another folder")
	}
	seal, err := hex.DecodeString(ring.Seal)
	if err != nil {
		return keyRing{}, errors.New("its seal is damaged")
	}
	for _, key := range k.sealKeys {
		if hmac.Equal(seal, ring.sealed(key)) {
			return ring, nil
		}
	}
	return keyRing{}, errors.New("its seal is not ours")
}

// sealed is the HMAC of everything else in the ring.
func (r keyRing) sealed(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "holdfast folder key 1\n%s\n%s\n%s\n", r.Folder, r.For, strings.Join(r.Keys, "\n"))
	return mac.Sum(nil)
}

// sealKey is what rings are sealed with, made from an identity.
func sealKey(identity string) []byte {
	sum := sha256.Sum256([]byte("holdfast seal of folder keys 1\n" + identity))
	return sum[:]
}
