package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
)

// defaults are what a server gets when its parameters say nothing else: small and quick to start.
func (s *Server) defaults() map[string]string {
	d := map[string]string{
		"shared_buffers":                 "32MB",
		"max_connections":                "100",
		"superuser_reserved_connections": "5",
		"max_wal_senders":                "10",
		"max_replication_slots":          "10",
		"wal_level":                      "replica",
		"jit":                            "off",
		"huge_pages":                     "off", // asking for them first makes the start slower where there are none
		"timezone":                       "UTC",
		"log_timezone":                   "UTC",
		"log_line_prefix":                "%m [%p] %q%u@%d ",
		"log_checkpoints":                "off",
		"default_text_search_config":     "pg_catalog.english",
		"lc_messages":                    "C",
		"dynamic_shared_memory_type":     "posix",
	}
	if s.config.Installation.Major >= 16 {
		// A role that creates another may use it, as before version 16.
		d["createrole_self_grant"] = "set, inherit"
	}
	return d
}

// decided are the settings that no parameter can change: they are the server's walls.
func (s *Server) decided() map[string]string {
	d := map[string]string{
		"listen_addresses":        "",
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": s.socketDir,
		"unix_socket_permissions": "0700",
		"password_encryption":     "scram-sha-256",
		"log_destination":         "stderr",
		"logging_collector":       "off",
		"ssl":                     "off",
	}
	if s.config.Installation.Major >= 17 {
		d["allow_alter_system"] = "off"
	}
	return d
}

// render returns the whole configuration file of a server with these parameters.
func (s *Server) render(parameters map[string]string) string {
	settings := s.defaults()
	maps.Copy(settings, parameters)
	maps.Copy(settings, s.decided())
	var b strings.Builder
	b.WriteString("# Written by Holdfast. A change made here is lost: use `holdfast branch settings`.\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(settings[name]))
	}
	return b.String()
}

func quoteSetting(value string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(value) + "'"
}

// Configure writes the server's configuration after PostgreSQL itself has accepted it, and says whether it changed. A bad
// value is Invalid with PostgreSQL's own message, and then nothing was touched. A running server takes the change up by Reload, or, where a
// setting needs that, by a restart.
func (s *Server) Configure(ctx context.Context, parameters map[string]string) (changed bool, err error) {
	content := s.render(parameters)
	path := filepath.Join(s.config.DataDir, "postgresql.conf")
	if old, err := os.ReadFile(path); err == nil && string(old) == content {
		return false, nil
	}
	if err := s.Check(ctx, parameters); err != nil {
		return false, err
	}
	return true, s.writeFile(path, content)
}

// Rewrite writes the settings as Configure does, for parameters that it has accepted before: when only the server's place has changed.
func (s *Server) Rewrite(parameters map[string]string) error {
	return s.writeFile(filepath.Join(s.config.DataDir, "postgresql.conf"), s.render(parameters))
}

// Check lets PostgreSQL judge the parameters without touching the server: its programs read them in a scratch directory
// and ask the machine for the memory, as initdb does.
func (s *Server) Check(ctx context.Context, parameters map[string]string) error {
	scratch, err := os.MkdirTemp(filepath.Dir(s.config.DataDir), ".check-")
	if err != nil {
		return fmt.Errorf("check the settings: %w", err)
	}
	defer os.RemoveAll(scratch)
	notify := filepath.Join(scratch, "pg_notify") // the only directory that the check itself opens
	if err := os.Mkdir(notify, 0o700); err != nil {
		return fmt.Errorf("check the settings: %w", err)
	}
	for name, content := range map[string]string{
		"PG_VERSION":           strconv.Itoa(s.config.Installation.Major) + "\n",
		"postgresql.conf":      s.render(parameters),
		"postgresql.auto.conf": "",
	} {
		// Not synced: nobody needs it after a crash.
		path := filepath.Join(scratch, name)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), s.config.Account.Own(path)); err != nil {
			return fmt.Errorf("check the settings: %w", err)
		}
	}
	if err := errors.Join(s.config.Account.Own(notify), s.config.Account.Own(scratch)); err != nil {
		return fmt.Errorf("check the settings: %w", err)
	}
	out, err := s.run(ctx, "postgres", "--check", "-D", scratch)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("check the settings: %w", ctx.Err())
	}
	if err != nil {
		return settingError(string(out), scratch, err)
	}
	return nil
}

// settingError takes the reason from what PostgreSQL printed: the lines before "configuration file contains errors", else
// the FATAL one and its hint.
func settingError(out, scratch string, cause error) error {
	var reasons []string
	hint := ""
	for line := range strings.Lines(out) {
		if _, text, found := strings.Cut(line, "HINT:  "); found {
			hint = strings.TrimSpace(text)
			continue
		}
		for _, severity := range []string{"LOG:  ", "FATAL:  ", "PANIC:  ", "ERROR:  "} {
			_, text, found := strings.Cut(line, severity)
			if found && !strings.Contains(text, "contains errors") {
				text, _, _ = strings.Cut(text, " in file \""+scratch)
				reasons = append(reasons, strings.TrimSpace(text))
			}
		}
	}
	if len(reasons) == 0 {
		return fmt.Errorf("check the settings: %w: %s", cause, out)
	}
	return &holdfast.Error{Kind: holdfast.Invalid, Message: "PostgreSQL refuses the settings: " + strings.Join(reasons, "; "), Hint: hint}
}

// writeFile replaces a file whole: a crash leaves the old content or the new, never half.
func (s *Server) writeFile(path, content string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = temp.WriteString(content)
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = s.config.Account.Own(temp.Name())
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", filepath.Base(path), err), os.Remove(temp.Name()))
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory durable: without it a crash can forget a rename.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	err = d.Sync()
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("sync the directory %s: %w", dir, err)
	}
	return nil
}
