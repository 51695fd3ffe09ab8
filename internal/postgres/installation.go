package postgres

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
)

// The versions that are supported, and the one that a new server gets where it is installed.
const (
	MinMajor     = 15
	MaxMajor     = 18
	DefaultMajor = 16
)

// Installation is a directory with a PostgreSQL server's programs.
type Installation struct {
	Major   int
	Version string // as the server says it: 16.4
	BinDir  string
}

// Find looks for PostgreSQL servers of the supported versions: in the directories of setting (a directory of programs or
// a prefix with bin), where pg_config says, in /usr/lib/postgresql, and in PATH. A directory counts when it has initdb and
// a postgres that says its version. The result is sorted by version, newest first; among equals, by that order of looking.
func Find(ctx context.Context, setting []string) ([]Installation, error) {
	var found []Installation
	seen := map[string]bool{}
	for _, dir := range binDirs(ctx, setting) {
		if real, err := filepath.EvalSymlinks(dir); err != nil || seen[real] {
			continue
		} else {
			seen[real] = true
		}
		if !isProgram(filepath.Join(dir, "initdb")) || !isProgram(filepath.Join(dir, "postgres")) {
			continue
		}
		version, major, err := programVersion(ctx, filepath.Join(dir, "postgres"))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("look for PostgreSQL: %w", ctx.Err())
		}
		if err != nil || major < MinMajor || major > MaxMajor {
			continue
		}
		found = append(found, Installation{Major: major, Version: version, BinDir: dir})
	}
	slices.SortStableFunc(found, func(a, b Installation) int { return cmp.Compare(b.Major, a.Major) })
	return found, nil
}

// Choose picks the installation for a server of version major. Zero asks for the default: 16 where it is installed, else
// the newest.
func Choose(found []Installation, major int) (Installation, error) {
	if len(found) == 0 {
		return Installation{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "no PostgreSQL server is installed on this machine",
			Hint: fmt.Sprintf("install one of the versions %d to %d, for example with: apt-get install postgresql", MinMajor, MaxMajor)}
	}
	want := cmp.Or(major, DefaultMajor)
	if i := slices.IndexFunc(found, func(f Installation) bool { return f.Major == want }); i >= 0 {
		return found[i], nil
	}
	if major == 0 {
		return slices.MaxFunc(found, func(a, b Installation) int { return cmp.Compare(a.Major, b.Major) }), nil
	}
	var have []string
	for _, f := range found {
		have = append(have, strconv.Itoa(f.Major))
	}
	return Installation{}, &holdfast.Error{Kind: holdfast.Precondition,
		Message: fmt.Sprintf("PostgreSQL %d is not installed on this machine, only %s", major, strings.Join(slices.Compact(have), ", ")),
		Hint:    fmt.Sprintf("install it, for example with: apt-get install postgresql-%d", major)}
}

// FindProgram returns the path of a client program (pg_dump, psql) that can work with a server of version major: the same
// version where it is installed, else the next newer one, because a newer pg_dump reads an older server and never the reverse. It looks
// where Find does; a directory of client programs without a server counts too.
func FindProgram(ctx context.Context, setting []string, name string, major int) (string, error) {
	best, path := 0, ""
	for _, dir := range binDirs(ctx, setting) {
		program := filepath.Join(dir, name)
		// Debian's /usr/bin/psql is a Perl wrapper that chooses by its own rules: the real one lies below /usr/lib.
		if !isProgram(program) {
			continue
		}
		_, m, err := programVersion(ctx, program)
		if err == nil && m >= major && (best == 0 || m < best) {
			best, path = m, program
		}
	}
	if path == "" {
		return "", &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("no %s of PostgreSQL %d or newer is installed on this machine", name, major),
			Hint: fmt.Sprintf("install it, for example with: apt-get install postgresql-client-%d", major)}
	}
	return path, nil
}

// HasLibrary says whether a library that servers can preload lies where the common packages put it.
func (i Installation) HasLibrary(name string) bool {
	bins := []string{i.BinDir}
	// The directory of programs may be a symbolic link; the server looks beside what the link means.
	if real, err := filepath.EvalSymlinks(i.BinDir); err == nil && real != i.BinDir {
		bins = append(bins, real)
	}
	for _, bin := range bins {
		for _, dir := range []string{"../lib", "../lib/postgresql", "../lib64", "../lib64/postgresql", "../lib64/pgsql", "../lib/pgsql"} {
			if _, err := os.Stat(filepath.Join(bin, dir, name+".so")); err == nil {
				return true
			}
		}
	}
	return false
}

func binDirs(ctx context.Context, setting []string) []string {
	var dirs []string
	for _, dir := range setting {
		dirs = append(dirs, dir, filepath.Join(dir, "bin"))
	}
	if config, err := exec.LookPath("pg_config"); err == nil {
		if out, err := exec.CommandContext(ctx, config, "--bindir").Output(); err == nil {
			dirs = append(dirs, strings.TrimSpace(string(out)))
		}
	}
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well formed
	dirs = append(dirs, packaged...)
	for _, name := range []string{"postgres", "psql", "pg_dump"} {
		if path, err := exec.LookPath(name); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return !filepath.IsAbs(dir) })
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// programVersion asks a program of PostgreSQL for its version: "postgres (PostgreSQL) 16.4 (Debian 16.4-1)".
func programVersion(ctx context.Context, program string) (version string, major int, err error) {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", 0, fmt.Errorf("ask %s for its version: %w", program, err)
	}
	_, rest, found := strings.Cut(string(out), "(PostgreSQL) ")
	if !found {
		return "", 0, fmt.Errorf("%s does not say a version of PostgreSQL", program)
	}
	version = strings.Fields(rest + " ")[0]
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(version)
	}
	if major, err = strconv.Atoi(version[:digits]); err != nil {
		return "", 0, fmt.Errorf("%s says version %q: %w", program, version, err)
	}
	return version, major, nil
}
