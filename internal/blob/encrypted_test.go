package blob_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

type testKey struct{ recipient, identity string }

func newKey(t testing.TB) testKey {
	t.Helper()
	recipient, identity, err := blob.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return testKey{recipient, identity}
}

func keys(t testing.TB, recipients, identities string) blob.Keys {
	t.Helper()
	k, err := blob.ParseKeys(recipients, identities)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func encrypted(t *testing.T, inner blob.Location) *blob.Encrypted {
	key := newKey(t)
	return blob.NewEncrypted(inner, keys(t, key.recipient, key.identity))
}

func get(t *testing.T, l blob.Location, name string) (string, error) {
	t.Helper()
	r, err := l.Get(t.Context(), name, 0, -1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

func TestEncryptedFolder(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Location { return encrypted(t, openFolder(t)) }, blobtest.Options{UnsizedInList: true})
}

func TestEncryptedS3(t *testing.T) {
	open := startS3(t).buckets(nil)
	blobtest.Run(t, func(t *testing.T) blob.Location { return encrypted(t, open(t)) }, blobtest.Options{UnsizedInList: true, Listed: 10})
}

// Users must be able to read their data without us: an object is what the stock age library makes and reads.
func TestEncryptedObjectIsAnOrdinaryAgeFile(t *testing.T) {
	key, folder := newKey(t), folderAt(t, t.TempDir())
	put(t, blob.NewEncrypted(folder, keys(t, key.recipient, "")), "a", "the content")
	identity, err := age.ParseX25519Identity(key.identity)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(folder.Path(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := age.Decrypt(file, identity)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(plain); err != nil || string(data) != "the content" {
		t.Errorf("age reads %q, %v", data, err)
	}
}

func TestKeysRotate(t *testing.T) {
	folder, old, next := folderAt(t, t.TempDir()), newKey(t), newKey(t)
	put(t, blob.NewEncrypted(folder, keys(t, old.recipient, old.identity)), "before", "1")
	rotated := blob.NewEncrypted(folder, keys(t, next.recipient, "# new\n"+next.identity+"\n\n# old\n"+old.identity+"\n"))
	put(t, rotated, "after", "2")
	for name, want := range map[string]string{"before": "1", "after": "2"} {
		if got, err := get(t, rotated, name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	onlyOld := blob.NewEncrypted(folder, keys(t, old.recipient, old.identity))
	if _, err := get(t, onlyOld, "after"); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(holdfast.HintOf(err), "identity") {
		t.Errorf("the wrong key answered %v", err)
	}
	if _, err := onlyOld.Get(t.Context(), "after", 1, -1); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("the wrong key answered %v to a range", err)
	}
}

func TestWithoutAKey(t *testing.T) {
	key, folder := newKey(t), folderAt(t, t.TempDir())
	writer, reader := blob.NewEncrypted(folder, keys(t, key.recipient, "")), blob.NewEncrypted(folder, keys(t, "", key.identity))
	put(t, writer, "a", "x")
	if got, err := get(t, reader, "a"); err != nil || got != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := get(t, writer, "a"); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("reading without an identity answered %v", err)
	}
	if _, err := reader.Put(t.Context(), "b", strings.NewReader("x"), blob.PutOptions{}); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("writing without a recipient answered %v", err)
	}
}

func TestDamageToAnEncryptedObjectIsCorrupt(t *testing.T) {
	folder := folderAt(t, t.TempDir())
	location := encrypted(t, folder)
	original := blobtest.Bytes(200_000, 1)
	put(t, location, "a", string(original))
	path := filepath.Join(folder.Path(), "a")
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte {
		damaged := bytes.Clone(sealed)
		damaged[at] ^= 1
		return damaged
	}
	// Damage to a recipient's line cannot be told from a wrong key, so it is not among these.
	for what, damaged := range map[string][]byte{
		"the header's end":      flipped(180),
		"the first chunk":       flipped(1000),
		"the last chunk":        flipped(len(sealed) - 1),
		"cut in a chunk":        sealed[:100_000],
		"cut after a chunk":     sealed[:len(sealed)-(200_000-3*65536+16)],
		"cut in the header":     sealed[:50],
		"nothing left":          {},
		"something added":       append(bytes.Clone(sealed), 0),
		"never encrypted":       original,
		"never, and very small": []byte("x"),
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t, location, "a"); holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("%s: reading answered %v", what, err)
		}
		r, err := location.Get(t.Context(), "a", 10, 150_000)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("%s: reading a range answered %v", what, err)
		}
	}
}

func TestKeysAreNotRepeatedInErrorsAndFormats(t *testing.T) {
	key := newKey(t)
	damaged := key.identity[:len(key.identity)-1] + "x"
	if _, err := blob.ParseKeys("", "\n"+damaged); holdfast.KindOf(err) != holdfast.Invalid || strings.Contains(err.Error(), damaged[20:40]) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a damaged identity answered %v", err)
	}
	if _, err := blob.ParseKeys(key.identity, ""); holdfast.KindOf(err) != holdfast.Invalid || strings.Contains(err.Error(), key.identity[20:40]) {
		t.Errorf("an identity as recipient answered %v", err)
	}
	k := keys(t, key.recipient, key.identity)
	if got := k.String() + k.GoString(); strings.Contains(strings.ToUpper(got), key.identity[20:40]) {
		t.Errorf("printed %s", got)
	}
}
