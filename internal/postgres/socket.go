package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/holdfast/holdfast"
)

// Every server listens on the same port number: it is only part of the socket's name.
const (
	port       = 5432
	socketName = ".s.PGSQL.5432"
)

// maxSocketPath is the longest path of a Unix socket: sockaddr_un has 108 bytes and PostgreSQL ends it with a NUL.
const maxSocketPath = 107

// socketDir returns where a server's socket lies: beside the data directory, or, where that path is too long, in a short
// one that depends on nothing but the data directory, so that the next control plane finds it again.
func socketDir(dataDir string, account Account) string {
	beside := dataDir + ".socket"
	if len(filepath.Join(beside, socketName+".lock")) <= maxSocketPath {
		return beside
	}
	sum := sha256.Sum256([]byte(dataDir))
	short := "holdfast-" + strconv.Itoa(account.UID) + "-" + hex.EncodeToString(sum[:8])
	if account.switchUser {
		// Not /tmp: under a service manager each run of the service may have a /tmp of its own.
		return filepath.Join("/run", short)
	}
	return filepath.Join("/tmp", short)
}

// makeSocketDir makes the socket's directory and clears what a dead server left in it. Where others may write beside it,
// somebody else could have made it first: it must belong to the account and be closed to everybody else.
func (s *Server) makeSocketDir() error {
	if err := s.config.Account.MkdirAll(s.socketDir); err != nil {
		return fmt.Errorf("make the socket's directory: %w", err)
	}
	info, err := os.Lstat(s.socketDir)
	if err != nil {
		return fmt.Errorf("look at the socket's directory: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(stat.Uid) != s.config.Account.UID || info.Mode().Perm() != 0o700 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("%s does not belong to %s alone", s.socketDir, s.config.Account.Name),
			Hint: "remove it and try again"}
	}
	return s.clearSocket()
}

func (s *Server) clearSocket() error {
	for _, name := range []string{socketName, socketName + ".lock"} {
		if err := os.Remove(filepath.Join(s.socketDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the socket's directory: %w", err)
		}
	}
	return nil
}

// RemoveSocketDir removes the socket's directory of a server that will not run again. Removing what is not there is no
// error.
func (s *Server) RemoveSocketDir() error {
	if err := s.clearSocket(); err != nil {
		return err
	}
	if err := os.Remove(s.socketDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket's directory: %w", err)
	}
	return nil
}
