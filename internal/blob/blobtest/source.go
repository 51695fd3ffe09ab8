package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/holdfast/holdfast/internal/blob"
)

// Bytes are size bytes that no compression shortens, the same for the same seed.
func Bytes(size int64, seed uint64) []byte {
	data := make([]byte, size)
	_, _ = generator(seed).Read(data)
	return data
}

// Stream gives the same bytes as Bytes, and hides how many come.
func Stream(size int64, seed uint64) io.Reader {
	return struct{ io.Reader }{io.LimitReader(generator(seed), size)}
}

func generator(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// onRead is a source without bytes that does something when it is reached.
func onRead(do func()) io.Reader { return &action{do} }

type action struct{ do func() }

func (a *action) Read([]byte) (int, error) {
	a.do()
	return 0, io.EOF
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func names(ctx context.Context, l blob.Location, prefix string) ([]string, error) {
	var all []string
	for info, err := range l.List(ctx, prefix) {
		if err != nil {
			return all, err
		}
		all = append(all, info.Name)
	}
	return all, nil
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := io.Copy(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func second[T any](_ T, err error) error { return err }

func closeIf(c io.Closer) {
	if c != nil {
		c.Close()
	}
}
