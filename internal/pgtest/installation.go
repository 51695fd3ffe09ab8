package pgtest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast/holdfast/internal/postgres"
)

// Installations lists the PostgreSQL servers that tests may use: those of the chosen version where one was chosen, else all of this
// machine. The test is skipped where there is none.
func Installations(t testing.TB) []postgres.Installation {
	t.Helper()
	found := installed(t)
	if major := preferredMajor(t); major != 0 {
		found = slices.DeleteFunc(found, func(i postgres.Installation) bool { return i.Major != major })
	}
	if len(found) == 0 {
		t.Skip("no PostgreSQL server of the chosen version is installed")
	}
	return found
}

// Installation returns the PostgreSQL that tests use. The test is skipped where it is not installed.
func Installation(t testing.TB, opts ...Option) postgres.Installation {
	t.Helper()
	chosen, err := postgres.Choose(installed(t), gather(t, opts).major)
	if err != nil {
		t.Skipf("%v", err)
	}
	return chosen
}

// Program returns the path of a client program (psql, pg_dump) that can work with the server that tests use. The test is
// skipped where there is none.
func Program(t testing.TB, name string) string {
	t.Helper()
	major := Installation(t).Major
	machine.Lock()
	defer machine.Unlock()
	key := name + strconv.Itoa(major)
	if path := machine.programs[key]; path != "" {
		return path
	}
	path, err := postgres.FindProgram(t.Context(), Setting(), name, major)
	if err != nil {
		t.Skipf("%v", err)
	}
	if machine.programs == nil {
		machine.programs = map[string]string{}
	}
	machine.programs[key] = path
	return path
}

// Setting returns the further directories of PostgreSQL programs that the environment names.
func Setting() []string {
	return filepath.SplitList(os.Getenv("HOLDFAST_TEST_PG"))
}

// preferredMajor is the version for tests that do not ask for one; 0 when nobody chose.
func preferredMajor(t testing.TB) int {
	t.Helper()
	if text := os.Getenv("HOLDFAST_TEST_PG_MAJOR"); text != "" {
		major, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("HOLDFAST_TEST_PG_MAJOR: %v", err)
		}
		return major
	}
	if len(Setting()) == 0 {
		return 0
	}
	first := filepath.Clean(Setting()[0])
	for _, i := range installed(t) {
		if dir := filepath.Clean(i.BinDir); dir == first || dir == filepath.Join(first, "bin") {
			return i.Major
		}
	}
	// To test against another version without a word would be a test of nothing.
	t.Fatalf("HOLDFAST_TEST_PG: there is no PostgreSQL server of a supported version in %s", first)
	return 0
}

// machine are the servers and programs of this machine: nothing installs one while tests run, and to ask each for its version takes
// time, for pg_dump more than a dump of a small database.
var machine struct {
	sync.Mutex
	looked        bool
	installations []postgres.Installation
	programs      map[string]string
}

func installed(t testing.TB) []postgres.Installation {
	t.Helper()
	machine.Lock()
	defer machine.Unlock()
	if !machine.looked {
		installations, err := postgres.Find(t.Context(), Setting())
		if err != nil {
			t.Fatal(err)
		}
		machine.looked, machine.installations = true, installations
	}
	if len(machine.installations) == 0 {
		t.Skip("no PostgreSQL server is installed (apt-get install postgresql)")
	}
	return slices.Clone(machine.installations)
}
