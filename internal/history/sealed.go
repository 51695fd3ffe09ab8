package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/holdfast/holdfast"
)

// seal writes a small object: one line of JSON, and the SHA-256 of that line in hexadecimal on a second. A person reads it with
// any tool, and `head -1 | sha256sum` checks it; a flipped bit in a WAL position must not lead to a wrong restore.
func seal(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	line = append(line, '\n')
	sum := sha256.Sum256(line)
	return append(line, hex.EncodeToString(sum[:])+"\n"...), nil
}

// unseal reads what seal wrote into v, and refuses a changed object and one of a newer version.
func unseal(name string, b []byte, v any) error {
	line, rest, found := bytes.Cut(b, []byte("\n"))
	sum := sha256.Sum256(append(line[:len(line):len(line)], '\n'))
	if !found || string(bytes.TrimSpace(rest)) != hex.EncodeToString(sum[:]) {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s is damaged: its checksum is wrong", name)}
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s is not JSON", name), Cause: err}
	}
	if head.Version != formatVersion {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("object %s has format version %d, and this program reads %d", name, head.Version, formatVersion),
			Hint: "use the version of Holdfast that wrote it, or a newer one"}
	}
	if err := json.Unmarshal(line, v); err != nil {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("object %s cannot be understood", name), Cause: err}
	}
	return nil
}

// formatVersion is the version of every format in docs/formats that this room writes.
const formatVersion = 1
