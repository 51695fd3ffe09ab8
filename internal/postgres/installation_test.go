package postgres_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func TestChooseTakesTheDefaultThenTheNewest(t *testing.T) {
	installs := func(majors ...int) (out []postgres.Installation) {
		for _, m := range majors {
			out = append(out, postgres.Installation{Major: m})
		}
		return out
	}
	for _, c := range []struct {
		found []postgres.Installation
		want  int
		major int
		kind  holdfast.Kind
	}{
		{installs(18, 17, 16, 15), 0, 16, 0},
		{installs(18, 17, 15), 0, 18, 0},
		{installs(15), 0, 15, 0},
		{installs(18, 15), 15, 15, 0},
		{installs(18, 15), 16, 0, holdfast.Precondition},
		{nil, 0, 0, holdfast.Precondition},
	} {
		got, err := postgres.Choose(c.found, c.want)
		if got.Major != c.major || holdfast.KindOf(err) != c.kind || err != nil && holdfast.HintOf(err) == "" {
			t.Errorf("choose %d of %v: got %d, %v", c.want, c.found, got.Major, err)
		}
	}
}

// A directory counts only when it has a server's programs and says a version that is supported.
func TestFindLooksIntoTheSettingFirst(t *testing.T) {
	dir := t.TempDir()
	for name, version := range map[string]string{"good/bin": "17.3 (Ours)", "old": "14.1", "beta": "18beta2"} {
		programs(t, filepath.Join(dir, name), version, "initdb", "postgres", "pg_dump")
	}
	programs(t, filepath.Join(dir, "client"), "18.1", "pg_dump")
	setting := []string{filepath.Join(dir, "good"), filepath.Join(dir, "old"), filepath.Join(dir, "beta"), filepath.Join(dir, "client"), filepath.Join(dir, "absent")}
	found, err := postgres.Find(t.Context(), setting)
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, f := range found {
		if strings.HasPrefix(f.BinDir, dir) {
			ours = append(ours, strconv.Itoa(f.Major)+" "+f.Version)
		}
	}
	if got := strings.Join(ours, ", "); got != "18 18beta2, 17 17.3" {
		t.Errorf("found %s", got)
	}
	if path, err := postgres.FindProgram(t.Context(), setting, "pg_dump", 17); err != nil || path != filepath.Join(dir, "good/bin/pg_dump") {
		t.Errorf("pg_dump for 17 is %s, %v", path, err)
	}
	if path, err := postgres.FindProgram(t.Context(), setting, "pg_nothing", 17); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("found %s, %v", path, err)
	}
}

// A prefix whose bin is a symbolic link into a package keeps its libraries beside what the link means.
func TestALibraryIsFoundThroughALink(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "package", "bin")
	programs(t, real, "17.3", "initdb", "postgres")
	programs(t, filepath.Join(dir, "package", "lib"), "", "kept.so")
	if err := os.Symlink(real, filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	install := postgres.Installation{BinDir: filepath.Join(dir, "bin")}
	if !install.HasLibrary("kept") || install.HasLibrary("absent") {
		t.Errorf("kept: %v, absent: %v", install.HasLibrary("kept"), install.HasLibrary("absent"))
	}
}

func programs(t *testing.T, dir, version string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho '"+name+" (PostgreSQL) "+version+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindFindsTheServerOfThisMachine(t *testing.T) {
	install := pgtest.Installation(t)
	if install.Major < postgres.MinMajor || install.Version == "" {
		t.Errorf("found %+v", install)
	}
	if _, err := postgres.FindProgram(t.Context(), pgtest.Setting(), "psql", install.Major); err != nil {
		t.Skipf("no psql: %v", err)
	}
}

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }
