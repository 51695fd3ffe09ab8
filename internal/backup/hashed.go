package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/holdfast/holdfast"
)

// hashed is a reader of a backup's bytes that compares them with the manifest. In place of the end it gives Corrupt when they differ.
type hashed struct {
	r    io.ReadCloser
	b    holdfast.Backup
	hash hash.Hash
	size int64
}

func newHashed(r io.ReadCloser, b holdfast.Backup) *hashed {
	return &hashed{r: r, b: b, hash: sha256.New()}
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.hash.Write(p[:n])
	h.size += int64(n)
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(h.hash.Sum(nil)); h.size != h.b.Size || got != h.b.SHA256 {
			return n, &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the backup %s is damaged: it has %d bytes with SHA-256 %s, and should have %d with %s", h.b.Name, h.size, got, h.b.Size, h.b.SHA256),
				Hint: "use another copy of it"}
		}
	}
	return n, err
}

func (h *hashed) Close() error { return h.r.Close() }
