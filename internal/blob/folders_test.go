package blob_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

func (k testKey) folders(t testing.TB, inner blob.Location) *blob.EncryptedFolders {
	return blob.NewEncryptedFolders(inner, "branches/", keys(t, k.recipient, k.identity))
}

func TestEncryptedFolders(t *testing.T) {
	for _, prefix := range []string{"", "folder/", "elsewhere/"} {
		blobtest.Run(t, func(t *testing.T) blob.Location {
			key := newKey(t)
			return blob.NewEncryptedFolders(openFolder(t), prefix, keys(t, key.recipient, key.identity))
		}, blobtest.Options{UnsizedInList: true, Listed: 10})
	}
}

func TestDestroyingAFoldersKeyMakesWhatRemainsOfTheFolderUnreadable(t *testing.T) {
	key, folder := newKey(t), folderAt(t, t.TempDir())
	l := key.folders(t, folder)
	for _, name := range []string{"branches/one/a", "branches/two/a", "backups/a"} {
		put(t, l, name, name)
	}
	for info, err := range l.List(t.Context(), "") {
		if err != nil || strings.Contains(info.Name, "key") {
			t.Errorf("listed %s, %v", info.Name, err)
		}
	}
	for _, name := range blob.FolderKeys("branches/one") {
		if _, err := get(t, l, name); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("the key was given away: %v", err)
		}
		if err := l.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	// The objects are still there, as after an erasure that was interrupted, and so is the location's key.
	for _, reader := range []blob.Location{l, key.folders(t, folder), blob.NewEncrypted(folder, keys(t, key.recipient, key.identity))} {
		if _, err := get(t, reader, "branches/one/a"); holdfast.KindOf(err) != holdfast.Precondition {
			t.Errorf("an object of the folder without a key: %v", err)
		}
		if got, err := get(t, reader, "backups/a"); err != nil || got != "backups/a" {
			t.Errorf("outside: %q, %v", got, err)
		}
	}
	if got, err := get(t, l, "branches/two/a"); err != nil || got != "branches/two/a" {
		t.Errorf("the other folder: %q, %v", got, err)
	}
}

// What was put before folders had keys of their own stays readable, beside what is put now.
func TestFoldersFromBeforeTheyHadKeys(t *testing.T) {
	key, folder := newKey(t), folderAt(t, t.TempDir())
	put(t, blob.NewEncrypted(folder, keys(t, key.recipient, key.identity)), "branches/one/old", "old")
	if got, err := get(t, key.folders(t, folder), "branches/one/old"); err != nil || got != "old" {
		t.Fatalf("%q, %v", got, err)
	}
	put(t, key.folders(t, folder), "branches/one/new", "new")
	for _, name := range []string{"old", "new"} {
		if got, err := get(t, key.folders(t, folder), "branches/one/"+name); err != nil || got != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestFolderKeysRotateWithTheLocations(t *testing.T) {
	old, next, folder := newKey(t), newKey(t), folderAt(t, t.TempDir())
	put(t, old.folders(t, folder), "branches/one/before", "before")
	kept, err := os.ReadFile(filepath.Join(folder.Path(), "branches/one/key-1.age"))
	if err != nil {
		t.Fatal(err)
	}
	both := testKey{next.recipient, next.identity + "\n" + old.identity}
	put(t, both.folders(t, folder), "branches/one/after", "after")
	// Whoever has the new key alone reads everything; the old key, with the key object from before, does not open what came after.
	for _, name := range []string{"before", "after"} {
		if got, err := get(t, next.folders(t, folder), "branches/one/"+name); err != nil || got != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range blob.FolderKeys("branches/one") {
		if err := os.WriteFile(filepath.Join(folder.Path(), name), kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := get(t, old.folders(t, folder), "branches/one/after"); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("the old key answered %v", err)
	}
}

func TestADamagedFolderKeyIsMendedFromItsCopy(t *testing.T) {
	for i, damage := range []func(path string) error{os.Remove, func(path string) error { return os.WriteFile(path, []byte("nothing"), 0o600) }} {
		for _, which := range blob.FolderKeys("branches/one") {
			key, folder := newKey(t), folderAt(t, t.TempDir())
			put(t, key.folders(t, folder), "branches/one/a", "a")
			path := filepath.Join(folder.Path(), which)
			whole, err := os.ReadFile(filepath.Join(folder.Path(), blob.FolderKeys("branches/one")[0]))
			if err == nil {
				err = damage(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			l := key.folders(t, folder)
			if got, err := get(t, l, "branches/one/a"); err != nil || got != "a" {
				t.Errorf("damage %d to %s: %q, %v", i, which, got, err)
			}
			if mended, err := os.ReadFile(path); strings.HasSuffix(which, "-1.age") && (err != nil || len(mended) != len(whole)) {
				t.Errorf("damage %d to %s was not mended: %v", i, which, err)
			}
		}
	}
}

// A folder whose key is gone takes nothing more: a new key would hide that the rest cannot be read.
func TestAFolderThatLostItsKeyTakesNothing(t *testing.T) {
	key, folder := newKey(t), folderAt(t, t.TempDir())
	put(t, key.folders(t, folder), "branches/one/a", "a")
	for _, name := range blob.FolderKeys("branches/one") {
		if err := os.Remove(filepath.Join(folder.Path(), name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := key.folders(t, folder).Put(t.Context(), "branches/one/b", strings.NewReader("b"), blob.PutOptions{})
	if holdfast.KindOf(err) != holdfast.Corrupt || !strings.Contains(err.Error(), "key of the folder branches/one is gone") {
		t.Errorf("got %v", err)
	}
}

// Recipients are public, so whoever can write to the location can encrypt a key object for them. One that is not sealed by an identity of the
// location, or is another folder's, must not be used: what is put with it could be read by whoever made it.
func TestAStrangersFolderKeyIsNotUsed(t *testing.T) {
	key, stranger, folder := newKey(t), newKey(t), folderAt(t, t.TempDir())
	put(t, key.folders(t, folder), "branches/one/a", "a")
	put(t, stranger.folders(t, folder), "branches/two/a", "a")
	theirs, err := stranger.folders(t, folder).Get(t.Context(), "branches/two/a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	raw, err := os.Open(filepath.Join(folder.Path(), "branches/two/key-1.age"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	identity, err := age.ParseX25519Identity(stranger.identity)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(raw, identity)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	recipient, err := age.ParseX25519Recipient(key.recipient)
	if err != nil {
		t.Fatal(err)
	}
	var forged bytes.Buffer
	w, err := age.Encrypt(&forged, recipient)
	if err == nil {
		_, err = w.Write(bytes.ReplaceAll(ring, []byte("branches/two"), []byte("branches/three")))
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(folder.Path(), "branches/three"), 0o700)
	}
	for _, name := range blob.FolderKeys("branches/three") {
		if err == nil {
			err = os.WriteFile(filepath.Join(folder.Path(), name), forged.Bytes(), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = key.folders(t, folder).Put(t.Context(), "branches/three/b", strings.NewReader("b"), blob.PutOptions{})
	if holdfast.KindOf(err) != holdfast.Corrupt {
		t.Errorf("a stranger's key was used: %v", err)
	}
}

func TestAFoldersKeyIsMadeOnceForManyWriters(t *testing.T) {
	key, folder := newKey(t), folderAt(t, t.TempDir())
	var writers sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		l := key.folders(t, folder)
		writers.Go(func() {
			if _, err := l.Put(t.Context(), "branches/one/"+name, strings.NewReader(name), blob.PutOptions{}); err != nil {
				t.Errorf("put %s: %v", name, err)
			}
		})
	}
	writers.Wait()
	l := key.folders(t, folder)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		if got, err := get(t, l, "branches/one/"+name); err != nil || got != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
