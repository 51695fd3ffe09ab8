package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// DefaultAccount is the operating system's user that servers run as when this process is root.
const DefaultAccount = "postgres"

// Account is the operating system's user that servers run as and to whom their directories belong.
type Account struct {
	Name       string
	UID, GID   int
	Controller string // the user of this process: the one who enters as administrator
	switchUser bool   // this process is root and becomes the account when it starts a program
}

// ServerAccount returns the account for servers. PostgreSQL refuses to run as root, so as root it is the user called name
// (empty: DefaultAccount), created as a system user where absent; otherwise it is our own user, whatever name says.
func ServerAccount(ctx context.Context, name string) (Account, error) {
	self, err := user.Current()
	if err != nil {
		return Account{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the user of this process has no entry in the user database, which PostgreSQL needs",
			Hint: "add the user to /etc/passwd", Cause: err}
	}
	if os.Geteuid() != 0 {
		return newAccount(self, self.Username, false)
	}
	if name == "" {
		name = DefaultAccount
	}
	found, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		if found, err = createUser(ctx, name); err != nil {
			return Account{}, err
		}
	} else if err != nil {
		return Account{}, fmt.Errorf("look up the user %s: %w", name, err)
	}
	if found.Uid == "0" {
		return Account{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("servers cannot run as %s: PostgreSQL refuses to run as root", name),
			Hint: "choose another user, for example " + DefaultAccount}
	}
	return newAccount(found, self.Username, true)
}

func newAccount(u *user.User, controller string, switchUser bool) (Account, error) {
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		return Account{}, fmt.Errorf("read the ids of the user %s: %w", u.Username, err)
	}
	return Account{Name: u.Username, UID: uid, GID: gid, Controller: controller, switchUser: switchUser}, nil
}

func createUser(ctx context.Context, name string) (*user.User, error) {
	out, err := exec.CommandContext(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
		"--shell", "/usr/sbin/nologin", "--", name).CombinedOutput()
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the user %s, as which PostgreSQL should run, cannot be created: %s", name, strings.TrimSpace(string(out))),
			Hint: "create it, or choose an existing user in the settings", Cause: err}
	}
	created, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("look up the new user %s: %w", name, err)
	}
	return created, nil
}

// Command prepares a program to run as the account: in the root directory, which every account can enter, and with a
// small environment, so that no secret of ours and no PG variable of the caller's reaches it. When ctx ends it is interrupted, and killed
// ten seconds later.
func (a Account) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = a.environment(filepath.Dir(program))
	cmd.SysProcAttr = a.attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (a Account) environment(binDir string) []string {
	return []string{"PATH=" + binDir + ":/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "LC_MESSAGES=C", "TZ=UTC", "HOME=/", "USER=" + a.Name}
}

func (a Account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.switchUser {
		attr.Credential = &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}
	}
	return attr
}

// MkdirAll makes a directory, and those above it that are missing, belonging to the account with mode 0700. A directory
// that is there already is left as it is.
func (a Account) MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("make the directory %s: %w", dir, syscall.ENOTDIR)
		}
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := a.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the directory: %w", err)
	}
	return a.Own(dir)
}

// Own hands a file or directory, but not what is in it, to the account.
func (a Account) Own(path string) error {
	if !a.switchUser {
		return nil
	}
	if err := os.Lchown(path, a.UID, a.GID); err != nil {
		return fmt.Errorf("hand a file to the user %s: %w", a.Name, err)
	}
	return nil
}

// CheckReachable says whether the account can pass through every directory above path. PostgreSQL's own message about this names
// neither the directory nor the remedy.
func (a Account) CheckReachable(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !a.mayEnter(info) {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the user %s, as which PostgreSQL runs, cannot enter %s", a.Name, dir),
				Hint: fmt.Sprintf("choose a data directory that it can reach, or allow it to pass: chmod o+x %s", dir)}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a Account) mayEnter(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch mode := info.Mode().Perm(); {
	case int(stat.Uid) == a.UID:
		return mode&0o100 != 0
	case int(stat.Gid) == a.GID:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// canWrite says whether path is a directory on a file system that is not mounted read-only.
func canWrite(path string) error {
	var fsinfo unix.Statfs_t
	if err := unix.Statfs(path, &fsinfo); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if fsinfo.Flags&unix.ST_RDONLY != 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: path + " is on a file system that is mounted read-only", Hint: "mount it writable and try again"}
	}
	return nil
}
