package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/volume"
)

// What a check found.
const (
	stateOK      = "ok"
	stateWeak    = "weak"    // it works, but not as well or as safely as it could
	stateMissing = "missing" // the server cannot work like this
)

// Below these amounts a disk is called nearly full, and too full to start with.
const (
	lowSpace  = 5 << 30
	noSpace   = 512 << 20
	lowInodes = 10_000
)

// lowFiles is how many open files a server with some branches awake comes to need.
const lowFiles = 4096

// lowShared is what a parallel query may take of /dev/shm.
const lowShared = 64 << 20

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"`
}

func (c *cli) doctorCommand() *cobra.Command {
	shown := defaultServeConfig()
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is missing or weak on this machine, and how to mend it",
		Long: `Looks at this machine as a server would use it: PostgreSQL, the data directory and its file system, space, clock, limits, ports. It changes
nothing. It takes the same settings as holdfast serve. The exit code is 6 when something is missing without which the server cannot work.`,
		Example: "  holdfast doctor\n  holdfast doctor --data /srv/holdfast --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := filepath.Abs(c.dataFlag())
			if err != nil {
				return fmt.Errorf("find the data directory: %w", err)
			}
			found := examine(cmd.Context(), data, cmd)
			if err := c.show(found, func(w io.Writer) { writeFindings(w, found) }); err != nil {
				return err
			}
			var missing []string
			for _, f := range found {
				if f.State == stateMissing {
					missing = append(missing, f.Check)
				}
			}
			if len(missing) > 0 {
				return &holdfast.Error{Kind: holdfast.Precondition, Message: "something is missing: " + strings.Join(missing, ", ")}
			}
			return nil
		},
	}
	shown.flags(cmd.Flags())
	return cmd
}

func writeFindings(w io.Writer, found []finding) {
	for _, f := range found {
		fmt.Fprintf(w, "%-8s %-18s %s\n", f.State, f.Check, printable(f.Detail))
		if f.Mend != "" {
			fmt.Fprintf(w, "%-8s %-18s mend: %s\n", "", "", printable(f.Mend))
		}
	}
}

// patient is what the checks look at.
type patient struct {
	data   string // absolute
	config serveConfig
	exists string // the data directory, or the nearest directory above it that is there
}

func examine(ctx context.Context, data string, cmd *cobra.Command) []finding {
	config, err := readServeConfig(data, cmd.Flags())
	if err != nil {
		return []finding{{"settings", stateMissing, err.Error(), holdfast.HintOf(err)}}
	}
	p := patient{data: data, config: config, exists: data}
	for p.exists != "/" {
		if info, err := os.Stat(p.exists); err == nil && info.IsDir() {
			break
		}
		p.exists = filepath.Dir(p.exists)
	}
	found := []finding{p.servers(ctx), p.clients(ctx), p.account(ctx), p.directory(), p.secrets()}
	found = append(found, p.disk()...)
	return append(found, clock(), openFiles(), sharedMemory(), p.port(ctx, "API port", "http", config.HTTP), p.port(ctx, "gateway port", "gateway", config.Gateway))
}

func (p patient) servers(ctx context.Context) finding {
	f := finding{Check: "PostgreSQL", State: stateOK}
	found, err := postgres.Find(ctx, p.config.PostgreSQL)
	if err != nil || len(found) == 0 {
		f.State, f.Mend = stateMissing, "install a server of version 15 to 18: apt install postgresql postgresql-contrib"
		f.Detail = "no server programs were found"
		return f
	}
	var versions []string
	for _, i := range found {
		versions = append(versions, fmt.Sprintf("%s in %s", i.Version, i.BinDir))
	}
	f.Detail = strings.Join(versions, "; ")
	return f
}

func (p patient) clients(ctx context.Context) finding {
	f := finding{Check: "client programs", State: stateOK}
	var have, lack []string
	if path, err := findPsql(); err == nil {
		have = append(have, path)
	} else {
		lack = append(lack, "psql")
	}
	for _, name := range []string{"pg_dump", "pg_restore"} {
		path, err := postgres.FindProgram(ctx, p.config.PostgreSQL, name, 0)
		if err != nil {
			path, err = exec.LookPath(name)
		}
		if err != nil {
			lack = append(lack, name)
		} else {
			have = append(have, path)
		}
	}
	f.Detail = strings.Join(have, ", ")
	if len(lack) > 0 {
		f.State, f.Detail, f.Mend = stateWeak, "not found: "+strings.Join(lack, ", "), "apt install postgresql-client"
	}
	return f
}

func (p patient) account(ctx context.Context) finding {
	f := finding{Check: "account", State: stateOK}
	if os.Geteuid() != 0 {
		f.Detail = "databases run as this user"
		if self, err := user.Current(); err == nil {
			f.Detail = "databases run as this user, " + self.Username
		}
		return f
	}
	name := p.config.Account
	if name == "" {
		name = postgres.DefaultAccount
	}
	if _, err := user.Lookup(name); err != nil {
		f.Detail = "databases run as " + name + ", which is made at the first start"
		return f
	}
	account, err := postgres.ServerAccount(ctx, name)
	if err == nil {
		err = account.CheckReachable(filepath.Join(p.data, branchesDir))
	}
	if err != nil {
		f.State, f.Detail, f.Mend = stateMissing, err.Error(), holdfast.HintOf(err)
		return f
	}
	f.Detail = "databases run as " + name
	return f
}

func (p patient) directory() finding {
	f := finding{Check: "data directory", State: stateOK, Detail: p.data}
	if p.exists != p.data {
		f.Detail += " (is made at the first start)"
	}
	if info, err := os.Stat(p.data); err == nil && !info.IsDir() {
		f.State, f.Detail, f.Mend = stateMissing, p.data+" is not a directory", "choose another one with --data"
	} else if err := unix.Access(p.exists, unix.W_OK|unix.X_OK); err != nil {
		f.State, f.Detail, f.Mend = stateMissing, fmt.Sprintf("%s cannot be written: %v", p.exists, err), "choose another data directory with --data, or run as the user to whom it belongs"
	}
	return f
}

// secrets looks at who may read what only the server may.
func (p patient) secrets() finding {
	f := finding{Check: "secrets", State: stateOK, Detail: "only the server may read them"}
	for _, name := range []string{keyFile, adminTokenFile, metadataFile, certKeyFileName} {
		path := filepath.Join(p.data, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			f.State, f.Detail, f.Mend = stateWeak, path+" can be read by others", "chmod 600 "+path
		}
	}
	_, keyErr := os.Stat(filepath.Join(p.data, keyFile))
	_, metadataErr := os.Stat(filepath.Join(p.data, metadataFile))
	switch {
	case keyErr != nil && metadataErr == nil:
		f.State, f.Detail, f.Mend = stateMissing, keyFile+" is missing; the metadata can be read with no other key", "put it back from your copy"
	case keyErr != nil && f.State == stateOK:
		f.Detail = "none yet"
	}
	return f
}

func (p patient) disk() []finding {
	space := finding{Check: "disk space", State: stateOK}
	var stat unix.Statfs_t
	if err := unix.Statfs(p.exists, &stat); err != nil {
		space.State, space.Detail = stateMissing, fmt.Sprintf("%s cannot be looked at: %v", p.exists, err)
		return []finding{space}
	}
	free := int64(stat.Bavail) * stat.Bsize
	space.Detail = fmt.Sprintf("%s of %s free at %s", size(free), size(int64(stat.Blocks)*stat.Bsize), p.exists)
	switch {
	case free < noSpace:
		space.State, space.Mend = stateMissing, "free some space, or choose a data directory on another disk"
	case free < lowSpace || stat.Files > 0 && stat.Ffree < lowInodes:
		space.State, space.Mend = stateWeak, "free some space, or choose a data directory on another disk"
		if stat.Files > 0 && stat.Ffree < lowInodes {
			space.Detail += fmt.Sprintf(", %d inodes free", stat.Ffree)
		}
	}
	where, err := volume.Inspect(filepath.Join(p.data, branchesDir))
	found := []finding{space, copyOnWrite(where, err)}
	if f, ok := p.image(); ok {
		found = append(found, f)
	}
	return append(found, durability(int64(stat.Type), where.FileSystem()))
}

// copyOnWrite says whether copies of a database share its blocks where the databases lie.
func copyOnWrite(v *volume.Volume, err error) finding {
	f := finding{Check: "copy-on-write", State: stateOK}
	if err != nil {
		f.State, f.Detail, f.Mend = stateWeak, err.Error(), holdfast.HintOf(err)
		return f
	}
	f.Detail = v.FileSystem() + ": copies of a database share its blocks"
	if !v.Reflinks() {
		f.State, f.Detail = stateWeak, v.FileSystem()+": a copy of a database takes as much space and time as its size"
		f.Mend = "sudo " + volumeAdvice(v) + ", or put the data directory on XFS or btrfs"
	}
	return f
}

// image looks at the image that databases lie in, if they do.
func (p patient) image() (f finding, ok bool) {
	if info, err := os.Stat(p.data); err != nil || !info.IsDir() {
		return f, false // directory says so
	}
	s, err := (&cli{}).place(p.data).Look()
	f = finding{Check: "volume", State: stateOK}
	switch rest := s.Size - s.Allocated; {
	case err != nil:
		f.State, f.Detail, f.Mend = stateMissing, err.Error(), cmp.Or(holdfast.HintOf(err), "see whether the data directory is whole")
	case s.File == "":
		return f, false
	case !s.Mounted && os.Geteuid() != 0:
		f.State, f.Detail, f.Mend = stateMissing, s.File+" is not mounted", "sudo holdfast volume mount"
	case rest > s.Disk.Free:
		f.State, f.Detail = stateWeak, fmt.Sprintf("%s may grow by %s, and its disk has %s left", s.File, size(rest), size(s.Disk.Free))
		f.Mend = "free space on that disk: writing fails when it is full"
	default:
		f.Detail = fmt.Sprintf("%s, %s, of which %s are on its disk", s.File, size(s.Size), size(s.Allocated))
	}
	return f, true
}

// durability names file systems on which a database is not safe.
func durability(magic int64, name string) finding {
	f := finding{Check: "file system", State: stateOK, Detail: name}
	switch magic {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		f.State, f.Detail, f.Mend = stateWeak, name+" lies in memory: everything is lost when the machine stops", "put the data directory on a disk"
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC:
		f.State, f.Detail, f.Mend = stateWeak, name+" may not keep what a database was told is on disk", "put the data directory on a local disk"
	}
	return f
}

func clock() finding {
	f := finding{Check: "clock", State: stateOK, Detail: "synchronised"}
	var t unix.Timex // nothing in it asks for a change
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		f.State, f.Detail = stateWeak, fmt.Sprintf("the kernel does not say whether it is synchronised: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		f.State, f.Detail = stateWeak, "not synchronised: moments to restore to are only as right as the clock"
		f.Mend = "timedatectl set-ntp true, or install chrony"
	}
	return f
}

func openFiles() finding {
	f := finding{Check: "open files", State: stateOK}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		f.State, f.Detail = stateWeak, err.Error()
		return f
	}
	f.Detail = fmt.Sprintf("at most %d", limit.Max)
	if limit.Max < lowFiles {
		f.State, f.Mend = stateWeak, "ulimit -n 65536, or LimitNOFILE=65536 in the service"
	}
	return f
}

func sharedMemory() finding {
	f := finding{Check: "shared memory", State: stateOK}
	var stat unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &stat); err != nil {
		f.State, f.Detail, f.Mend = stateWeak, "there is no /dev/shm, which PostgreSQL uses for parallel queries", "mount a tmpfs there"
		return f
	}
	total := int64(stat.Blocks) * stat.Bsize
	f.Detail = size(total) + " in /dev/shm"
	if total < lowShared {
		f.State, f.Mend = stateWeak, "make it larger; in a container: --shm-size=1g"
	}
	return f
}

// port tries whether a server could listen, or finds that ours does.
func (p patient) port(ctx context.Context, check, flag, address string) finding {
	f := finding{Check: check, State: stateOK, Detail: address + " is free"}
	if _, err := freeAddress(ctx, flag, address); err != nil {
		if url, ok := p.running(ctx); ok {
			f.Detail = fmt.Sprintf("%s is in use; the server of this data directory runs at %s", address, url)
			return f
		}
		f.State, f.Detail, f.Mend = stateMissing, err.Error(), holdfast.HintOf(err)
	}
	return f
}

// running says whether the server of the data directory answers.
func (p patient) running(ctx context.Context) (url string, ok bool) {
	t, err := (&cli{env: environment{Token: "none"}}).localServer(p.data)
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+api.HealthPath, nil)
	if err != nil {
		return "", false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	res.Body.Close()
	return t.url, res.StatusCode == http.StatusOK
}
