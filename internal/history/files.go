package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"

	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/postgres"
)

// writeDurable replaces a file whole: a crash leaves the old content or the new.
func writeDurable(path string, content []byte) error {
	if err := writeSynced(path+".tmp", content); err != nil {
		_ = os.Remove(path + ".tmp") // half a file would keep a full disk full
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return postgres.SyncDir(filepath.Dir(path))
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return writeDurable(path, append(b, '\n'))
}

// readJSON reads a file into v; one that does not exist leaves v as it is.
func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}

func digestAtFile(path string) (digest, error) {
	file, err := os.Open(path)
	if err != nil {
		return digest{}, fmt.Errorf("hash a file: %w", err)
	}
	defer file.Close()
	h := xxh3.New128()
	n, err := io.Copy(h, file)
	if err != nil {
		return digest{}, fmt.Errorf("hash %s: %w", filepath.Base(path), err)
	}
	return digest{Size: n, Hash: formatHash(h.Sum128())}, nil
}

// putFile brings a local file to every location.
func putFile(ctx context.Context, m mirror, path, name string, size int64) error {
	return m.each(ctx, func(ctx context.Context, l Location) error { return putFileAt(ctx, l, path, name, size) })
}

func putFileAt(ctx context.Context, l Location, path, name string, size int64) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	defer file.Close()
	if _, err := l.Put(ctx, name, file, blob.PutOptions{Size: size}); err != nil {
		return fmt.Errorf("put %s at %s: %w", name, l.Name, err)
	}
	return nil
}
