package fleet

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// walSegment is what a server needs at once when its log goes on: one that cannot have it stops with a panic.
const walSegment = 16 << 20

// ExplainSpace puts a plain word before an error that comes of a full disk, however that showed: a program that could not write,
// a statement that the server refused, or a server that broke off its sessions because it could not go on. Other errors stay as they
// are.
func (f *Fleet) ExplainSpace(err error) error {
	var told *holdfast.Error
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case isFull(err), errors.As(err, &refused) && refused.Code == "53100":
	case errors.As(err, &told): // whoever found it knew why
		return err
	case !f.nearlyFull():
		return err
	}
	return &holdfast.Error{Kind: holdfast.Precondition, Message: "the disk of " + f.config.Root + " is full", Hint: "free space on the disk, or choose another data directory", Cause: err}
}

// died is the error for a new server that ended by itself, with the last lines of its log. A server whose last checkpoint found no space says so there
// alone, and has given back by then what it had taken.
func died(log []string) error {
	said := strings.Join(log, "\n")
	e := &holdfast.Error{Kind: holdfast.Unavailable, Message: "the new server died", Cause: errors.New(said)}
	if strings.Contains(said, "No space left on device") || strings.Contains(said, "Check free disk space") {
		e.Cause = fmt.Errorf("%w: %s", syscall.ENOSPC, said)
	}
	return e
}

// Free is how many bytes the servers' disk can still take.
func (f *Fleet) Free() (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(f.config.Root, &stat); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", f.config.Root, err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}

func (f *Fleet) nearlyFull() bool {
	free, err := f.Free()
	return err == nil && free < walSegment
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
