package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

var update = flag.Bool("update", false, "write the reference in docs/cli.md anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main})
}

// The scripts run the program itself, each in a directory of its own with a home of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("HOLDFAST_DATA", filepath.Join(e.WorkDir, "data"))
			return os.MkdirAll(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits checks a program's exit code: exits 3 holdfast branch show shop/x
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT]...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s\n%s", code, args[0], ts.ReadFile("stderr"))
	}
}

func TestEveryKindHasItsExitCode(t *testing.T) {
	want := map[holdfast.Kind]int{
		holdfast.Internal: 1, holdfast.Invalid: 2, holdfast.Unauthenticated: 4, holdfast.NotAllowed: 4, holdfast.NotFound: 3, holdfast.Conflict: 5, holdfast.Unsafe: 5,
		holdfast.Precondition: 6, holdfast.Busy: 5, holdfast.TooMany: 1, holdfast.Unavailable: 1, holdfast.Timeout: 7, holdfast.Canceled: 1, holdfast.Corrupt: 1,
	}
	for k := holdfast.Internal; k <= holdfast.Corrupt; k++ {
		if got := exitCode(fmt.Errorf("outer: %w", &holdfast.Error{Kind: k})); got != want[k] {
			t.Errorf("%v: exit code %d, want %d", k, got, want[k])
		}
	}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {&usageError{err: errors.New("x")}, 2}, {fmt.Errorf("ask: %w", context.Canceled), 130}, {context.DeadlineExceeded, 7}, {errors.New("x"), 1},
		{&programError{"x", exec.ErrNotFound}, 127}, {&programError{"x", syscall.EACCES}, 126},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	walk(newRoot(&cli{}), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || cmd.Example == "" || !cmd.Runnable() {
			t.Errorf("%s: short %q, example %q, runnable %v", cmd.CommandPath(), cmd.Short, cmd.Example, cmd.Runnable())
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if line != "" && !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", cmd.CommandPath(), line)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s is not explained", cmd.CommandPath(), f.Name)
			}
		})
	})
}

func TestTheReferenceInDocsIsComplete(t *testing.T) {
	var ref bytes.Buffer
	walk(newRoot(&cli{}), func(cmd *cobra.Command) {
		// A group that takes arguments of its own (restore, sync, publish) is a command, too.
		if cmd.HasSubCommands() && !strings.Contains(cmd.Use, " ") {
			return
		}
		fmt.Fprintf(&ref, "\n### `%s`\n\n", cmd.UseLine())
		text := cmd.Long
		if text == "" {
			text = cmd.Short + "."
		}
		fmt.Fprintf(&ref, "%s\n\n```\n%s\n```\n", text, strings.TrimRight(cmd.Example, "\n"))
		if flags := cmd.NonInheritedFlags(); flags.HasAvailableFlags() {
			fmt.Fprintf(&ref, "\n```\n%s```\n", flags.FlagUsages())
		}
	})
	const path, begin, end = "../../docs/cli.md", "<!-- reference: written by a test -->\n", "\n<!-- end of reference -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(page), begin)
	_, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatal("docs/cli.md has no place for the reference")
	}
	want := before + begin + ref.String() + end + after
	if *update {
		err = os.WriteFile(path, []byte(want), 0o644)
	} else if want != string(page) {
		t.Error("docs/cli.md is not what the commands say; look at the change with git diff after: go test ./cmd/holdfast -run Reference -update")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func walk(cmd *cobra.Command, see func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		see(sub)
		walk(sub, see)
	}
}

func TestVariablesSurviveShells(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh on this machine")
	}
	rapid.Check(t, func(t *rapid.T) {
		value := strings.ReplaceAll(rapid.StringOf(rapid.RuneFrom([]rune("ab'\"$`\\ !*?~#&;|=\n%é"))).Draw(t, "value"), "\x00", "")
		cmd := exec.Command(sh)
		cmd.Stdin = strings.NewReader("V=" + quoteEnv(value) + "\nprintf '%s.' \"$V\"\n")
		out, err := cmd.Output()
		if err != nil || string(out) != value+"." {
			t.Errorf("%q became %q, %v", value, out, err)
		}
	})
}

func TestVariablesAreQuotedAsDotenvReadsThem(t *testing.T) {
	for value, want := range map[string]string{"plain": "'plain'", "a b#c$d`e\"f\\g": "'a b#c$d`e\"f\\g'", "it's": `"it's"`, "postgres://u:p%27@h/db?sslmode=require": "'postgres://u:p%27@h/db?sslmode=require'"} {
		if got := quoteEnv(value); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

func TestFormatsOfVariables(t *testing.T) {
	vars := connectionVariables(api.Connection{URL: "postgres://u:p@h:1/d?a=1&b=2", Host: "h", Port: 1, User: "u", Password: "p", Database: "d", SSLMode: "require"})
	want := map[string]string{
		"env":   "DATABASE_URL='postgres://u:p@h:1/d?a=1&b=2'\nPGHOST='h'\nPGPORT='1'\nPGUSER='u'\nPGPASSWORD='p'\nPGDATABASE='d'\n",
		"json":  "{\n  \"DATABASE_URL\": \"postgres://u:p@h:1/d?a=1&b=2\",\n  \"PGHOST\": \"h\",\n  \"PGPORT\": \"1\",\n  \"PGUSER\": \"u\",\n  \"PGPASSWORD\": \"p\",\n  \"PGDATABASE\": \"d\"\n}\n",
		"yaml":  "DATABASE_URL: \"postgres://u:p@h:1/d?a=1&b=2\"\nPGHOST: \"h\"\nPGPORT: \"1\"\nPGUSER: \"u\"\nPGPASSWORD: \"p\"\nPGDATABASE: \"d\"\n",
		"table": "VARIABLE      VALUE\nDATABASE_URL  postgres://u:p@h:1/d?a=1&b=2\nPGHOST        h\nPGPORT        1\nPGUSER        u\nPGPASSWORD    p\nPGDATABASE    d\n",
	}
	for name, text := range want {
		var b bytes.Buffer
		if err := envFormat(name)(&b, vars); err != nil || b.String() != text {
			t.Errorf("%s: got %q, %v", name, b.String(), err)
		}
	}
}

func TestNearNamesAreSuggested(t *testing.T) {
	names := []string{"shop/development", "shop/production", "blog/development"}
	for name, want := range map[string]string{"shop/developmnet": "shop/development", "shop/prod": "shop/production", "shp/production": "shop/production", "zzz": "", "": ""} {
		if got := nearest(name, names); got != want {
			t.Errorf("%q: suggested %q, want %q", name, got, want)
		}
	}
	if d := distance("abcd", "acbd"); d != 1 {
		t.Errorf("two letters swapped are %d apart", d)
	}
}

func TestLengthsOfTimeReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{"10m": 10 * time.Minute, "7d": 7 * 24 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "0s": 0} {
		d, err := parseSpan(text)
		if err != nil || d != want {
			t.Errorf("%q: got %v, %v", text, d, err)
		}
		if again, err := parseSpan(span(d)); err != nil || again != d {
			t.Errorf("%v was written as %q and read as %v, %v", d, span(d), again, err)
		}
	}
	for _, bad := range []string{"", "10", "-5m", "1.5d", "d", "xd", "99999999d"} {
		if _, err := parseSpan(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestTextOfOthersPlaysNoTricksOnTheTerminal(t *testing.T) {
	var b bytes.Buffer
	tab := newTable(&b, "NAME", "X")
	tab.row("evil\x1b[2Jname\ttab\nline\u202e", "y")
	tab.flush()
	if strings.ContainsAny(b.String(), "\x1b\t\u202e") || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("got %q", b.String())
	}
}

func TestPlainProgressSaysEachStepOnce(t *testing.T) {
	var b bytes.Buffer
	c := &cli{errOut: &b}
	see, done := c.plainProgress()
	for _, j := range []api.Job{
		{State: "queued", StepCount: 2}, {State: "running", Step: "one", StepCount: 2}, {State: "running", Step: "one", StepCount: 2, Done: 5, Total: 10},
		{State: "running", Step: "two", StepIndex: 1, StepCount: 2}, {State: "succeeded", Step: "two", StepIndex: 2, StepCount: 2},
	} {
		see(j)
	}
	done()
	if got, want := b.String(), "[1/2] one\n[2/2] two\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestABarSurvivesChangingSteps(t *testing.T) {
	var b bytes.Buffer
	c := &cli{errOut: &b}
	see, done := c.barProgress()
	for _, j := range []api.Job{
		{State: "queued"}, {State: "running", Step: "one", StepCount: 2, Done: 5, Total: 10, Unit: "bytes"}, {State: "running", Step: "one", StepCount: 2, Done: 50, Total: 40, Unit: "bytes"},
		{State: "running", Step: "two", StepIndex: 1, StepCount: 2}, {State: "running", Step: "two", StepIndex: 1, StepCount: 2, Done: 1, Total: 3}, {State: "failed"},
	} {
		see(j)
	}
	done()
	if !strings.Contains(b.String(), "[2/2] two") {
		t.Errorf("got %q", b.String())
	}
}

func TestNothingLeadsAProgramElsewhere(t *testing.T) {
	for name, value := range map[string]string{"PGSERVICE": "other", "PGHOSTADDR": "10.0.0.1", "PGPASSWORD": "old", "DATABASE_URL": "old", "PGSSLMODE": "disable", "KEPT": "yes"} {
		t.Setenv(name, value)
	}
	got := map[string]string{}
	for _, pair := range programEnvironment(api.Connection{URL: "u", Host: "h", Port: 5, User: "me", Password: "new", Database: "d", SSLMode: "require"}) {
		name, value, _ := strings.Cut(pair, "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		got[name] = value
	}
	for name, want := range map[string]string{"PGSERVICE": "", "PGHOSTADDR": "", "PGPASSWORD": "new", "DATABASE_URL": "u", "PGSSLMODE": "require", "PGPORT": "5", "KEPT": "yes"} {
		if got[name] != want {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
}

func TestAConfirmationIsNeverAssumed(t *testing.T) {
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c := &cli{in: in, errOut: io.Discard}
	if err := c.confirm(false, "it is dangerous", "shop/production"); holdfast.KindOf(err) != holdfast.Unsafe {
		t.Errorf("got %v", err)
	}
	if err := c.confirm(true, "it is dangerous", "shop/production"); err != nil {
		t.Errorf("got %v", err)
	}
}
