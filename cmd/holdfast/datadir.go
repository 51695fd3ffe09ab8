package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// Further files in a data directory. docs/formats/data-directory.md describes them all.
const (
	metadataFile    = "holdfast.db"
	keyFile         = "secret.key"
	lockFile        = "lock"
	certFileName    = "gateway.crt"
	certKeyFileName = "gateway.key"
	branchesDir     = "branches"
	volumeNote      = "volume.json" // says which image the branches lie in, if they do
	volumeFile      = "volume.img"  // that image, unless it lies elsewhere
	repositoryDir   = "repository"  // history, where no other place was set
	spoolDir        = "spool"       // history on its way there
	recoveringFile  = "recovering"  // there from a recovery's beginning until it is complete
	firstStartFile  = "first-start" // there from the first start's beginning until everything that only it does is done
)

const keyLength = 32

// dataDir is a data directory that this process has for itself.
type dataDir struct {
	path string
	lock *os.File
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// claimDataDir takes the lock of a data directory that exists already; nil when it does not, or was never used. It makes nothing.
func claimDataDir(path string) (*dataDir, error) {
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|syscall.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, dataDirError(path, err)
	}
	return lockDataDir(path, lock)
}

// openDataDir makes the directory where it is missing and takes its lock.
func openDataDir(path string) (*dataDir, error) {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711 // the user that databases run as passes through it, and sees nothing
	}
	if err := os.MkdirAll(path, mode); err != nil {
		return nil, dataDirError(path, err)
	}
	// Others must not be able to put a key or a token here before us.
	info, err := os.Stat(path)
	if err != nil {
		return nil, dataDirError(path, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the data directory " + path + " can be written by others than the user of this process",
			Hint: fmt.Sprintf("make it yours alone: chown %d %s && chmod go-w %s", os.Geteuid(), path, path)}
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, dataDirError(path, err)
	}
	return lockDataDir(path, lock)
}

// lockDataDir takes the lock without waiting. The kernel gives it back when the process ends, however it ends.
func lockDataDir(path string, lock *os.File) (*dataDir, error) {
	err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &dataDir{path: path, lock: lock}, nil
	}
	lock.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "another holdfast serve runs with the data directory " + path,
			Hint: "stop it, or choose another directory with --data"}
	}
	return nil, dataDirError(path, err)
}

// Close gives the directory back.
func (d *dataDir) Close() error { return d.lock.Close() }

func dataDirError(path string, err error) error {
	e := &holdfast.Error{Kind: holdfast.Precondition, Cause: err}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Message, e.Hint = "the data directory "+path+" cannot be written", "choose another one with --data, or make it writable for the user of this process"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Message, e.Hint = "the disk of the data directory "+path+" is full", "free some space and start again"
	case errors.Is(err, syscall.ENOTDIR):
		e.Message, e.Hint = path+" is not a directory", "choose another one with --data"
	default:
		return fmt.Errorf("open the data directory %s: %w", path, err)
	}
	return e
}

// secretKey reads the key under which secrets in the metadata are sealed, and makes it at the first start. It never makes one for
// metadata that exist: they can be read with no other key than theirs.
func (d *dataDir) secretKey() ([]byte, error) {
	path := d.file(keyFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
		if err != nil || len(key) != keyLength {
			return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: path + " is not a key: it holds 64 hexadecimal digits", Hint: "put back the file from your copy of it"}
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, dataDirError(d.path, err)
	}
	if _, err := os.Stat(d.file(metadataFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: path + " is missing, and the metadata beside it can be read with no other key",
			Hint: "put back the file from your copy of it", Cause: err}
	}
	key := make([]byte, keyLength)
	rand.Read(key) // never fails: crypto/rand ends the process instead
	if err := writeFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, dataDirError(d.path, err)
	}
	return key, nil
}

// beginFirstStart notes that a first start begins, if this is one, and says whether one is under way: this one, or one that was
// interrupted.
func (d *dataDir) beginFirstStart() (bool, error) {
	_, err := os.Stat(d.file(metadataFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.checkUnused(); err != nil {
			return false, err
		}
		err = writeFile(d.file(firstStartFile), nil, 0o600)
		if err != nil {
			return false, dataDirError(d.path, err)
		}
		return true, nil
	}
	if err != nil {
		return false, dataDirError(d.path, err)
	}
	_, err = os.Stat(d.file(firstStartFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// checkUnused refuses to take a directory that has databases and no metadata for a new one: a server that knows nothing of them would begin anew
// beside them, and nobody would notice what is lost.
func (d *dataDir) checkUnused() error {
	entries, err := os.ReadDir(d.file(branchesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dataDirError(d.path, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "br_") {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: d.file(metadataFile) + " is missing, and databases lie beside it",
				Hint: "put the file back, or make the metadata again from the repository: docs/runbooks/metadata-lost.md"}
		}
	}
	return nil
}

func (d *dataDir) endFirstStart() error {
	if err := os.Remove(d.file(firstStartFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end the first start: %w", err)
	}
	return nil
}

// checkEmpty refuses a directory that holds anything but settings, the repository to recover from, or what an interrupted recovery left.
func checkEmpty(path, repository string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return dataDirError(path, err)
	}
	if _, err := os.Stat(filepath.Join(path, recoveringFile)); err == nil {
		return nil
	}
	for _, e := range entries {
		own := e.Name() == lockFile || e.Name() == configFile || filepath.Join(path, e.Name()) == repository
		if !own {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the data directory %s is not empty (%s)", path, e.Name()),
				Hint: "a recovery makes everything anew; name an empty directory with --data"}
		}
	}
	return nil
}

// beginRecovery notes that what lies here is not complete.
func (d *dataDir) beginRecovery() error { return writeFile(d.file(recoveringFile), nil, 0o600) }

func (d *dataDir) endRecovery() error {
	if err := os.Remove(d.file(recoveringFile)); err != nil {
		return fmt.Errorf("end the recovery: %w", err)
	}
	return nil
}

// checkRecovered refuses to work with half a recovery.
func (d *dataDir) checkRecovered() error {
	if _, err := os.Stat(d.file(recoveringFile)); !errors.Is(err, fs.ErrNotExist) {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the recovery into " + d.path + " is not complete", Hint: "run the same `holdfast recover` again: it goes on", Cause: err}
	}
	return nil
}

// writeServerNote tells commands on this machine where the server is.
func (d *dataDir) writeServerNote(url string) error {
	raw, err := json.Marshal(serverNote{URL: url})
	if err != nil {
		return err
	}
	return writeFile(d.file(serverFile), append(raw, '\n'), 0o644)
}

func (d *dataDir) removeServerNote() error {
	if err := os.Remove(d.file(serverFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the note of where the server is: %w", err)
	}
	return nil
}
