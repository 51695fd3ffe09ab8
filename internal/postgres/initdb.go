package postgres

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/holdfast/holdfast"
)

// InitOptions change how a data directory is made.
type InitOptions struct {
	// Unsynced leaves out the flush to disk at the end: for servers whose loss does not matter, as in tests.
	Unsynced bool
	// Parameters are the server's settings.
	Parameters map[string]string
}

// Init makes the data directory: data checksums, UTF-8, the C.UTF-8 collation (which no upgrade of the system's C library or ICU can
// change under an index), AdminRole as the bootstrap superuser, and the walls around it. Harden completes the work on the running
// server. The directory must be absent or empty. After an error, what it holds is to be removed.
func (s *Server) Init(ctx context.Context, options InitOptions) error {
	if err := s.config.Account.CheckReachable(s.config.DataDir); err != nil {
		return err
	}
	if err := s.config.Account.MkdirAll(s.config.DataDir); err != nil {
		return err
	}
	out, err := s.initdb(ctx, options, "C.UTF-8")
	if err != nil && strings.Contains(out, "invalid locale") {
		out, err = s.initdb(ctx, options, "C")
	}
	if err != nil {
		return initError(ctx, out, err)
	}
	if err := s.Secure(); err != nil {
		return err
	}
	_, err = s.Configure(ctx, options.Parameters)
	return err
}

func (s *Server) initdb(ctx context.Context, options InitOptions, locale string) (string, error) {
	args := []string{"-D", s.config.DataDir, "--username=" + AdminRole, "--encoding=UTF8", "--locale=" + locale, "--lc-messages=C",
		"--data-checksums", "--auth=reject", "--no-instructions"}
	if s.config.Installation.Major >= 17 {
		args = append(args, "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
	}
	if options.Unsynced {
		args = append(args, "--no-sync")
	}
	out, err := s.run(ctx, "initdb", args...)
	return string(out), err
}

func initError(ctx context.Context, out string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("make a data directory: %w", ctx.Err())
	}
	var reasons []string
	for line := range strings.Lines(out) {
		for _, severity := range []string{"FATAL:  ", "PANIC:  ", "initdb: error: "} {
			if _, text, found := strings.Cut(line, severity); found {
				reasons = append(reasons, strings.TrimSpace(text))
			}
		}
	}
	if len(reasons) == 0 {
		return fmt.Errorf("make a data directory: %w: %s", err, out)
	}
	// A block that fits only in part is no error of the system's: PostgreSQL says how much it wrote.
	if strings.Contains(out, "No space left on device") || strings.Contains(out, "could not extend file") && strings.Contains(out, "wrote only") {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "a data directory cannot be made because the disk is full: " + reasons[0],
			Hint: "free space on the disk, or choose another data directory", Cause: err}
	}
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: "a data directory cannot be made: " + strings.Join(reasons, "; "), Cause: err}
}

// Secure writes who may enter: this process's operating system user as AdminRole, also for replication, and everybody else by
// SCRAM. Nothing else is let in. A data directory that came from elsewhere is given the same walls.
func (s *Server) Secure() error {
	hba := `# Written by Holdfast.
# TYPE  DATABASE     USER      METHOD
local   all          ` + AdminRole + `  peer map=` + identMap + `
local   replication  ` + AdminRole + `  peer map=` + identMap + `
local   all          all       scram-sha-256
`
	ident := `# Written by Holdfast.
# MAPNAME  SYSTEM-USERNAME  PG-USERNAME
` + identMap + ` "` + s.config.Account.Controller + `" ` + AdminRole + "\n"
	if err := s.writeFile(filepath.Join(s.config.DataDir, "pg_hba.conf"), hba); err != nil {
		return err
	}
	if err := s.writeFile(filepath.Join(s.config.DataDir, "pg_ident.conf"), ident); err != nil {
		return err
	}
	// Settings that ALTER SYSTEM left, as in a data directory from elsewhere, would win over ours.
	return s.writeFile(filepath.Join(s.config.DataDir, "postgresql.auto.conf"), "")
}

const identMap = "holdfast"
