// Package test runs the built program as its users do: `holdfast serve` as a process of its own, the command line, and real clients of
// PostgreSQL. It reads the product's own files only to look for what must not be in them, and breaks it by signals, full disks and
// taken ports alone.
package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the program under test, readable for every user of the machine.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	widen()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// widen lets more tests run side by side than there are processors, unless the command line says how many: most of the time they
// wait for a process.
func widen() {
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if f := flag.Lookup("test.parallel"); f != nil && !said {
		_ = f.Value.Set("5") // a number: it cannot be refused
	}
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("/tmp", "hfbin")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	binary = filepath.Join(dir, "holdfast")
	// As the Makefile does it, so that what `make build` has compiled is not compiled again.
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=under-test", "-o", binary, "../cmd/holdfast")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	defer common.end()
	return m.Run(), nil
}
