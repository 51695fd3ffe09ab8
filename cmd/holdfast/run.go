package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run [PROJECT/BRANCH] -- COMMAND [ARGUMENT]...",
		Short: "Run a program that finds its database in the environment",
		Long: `Runs a program with DATABASE_URL, PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE set. The program takes the place of this one: it gets
the signals, and its exit status is the result (126: it cannot be run, 127: it was not found). The password is never on a command line.

Node.js reads sslmode=require as a full check of the certificate. Where the server runs on this machine with a certificate that it made
itself, NODE_EXTRA_CA_CERTS names it, unless that is set already.`,
		Example: `  holdfast run shop/development -- npm start
  holdfast run -- ./manage.py migrate`,
		ValidArgsFunction: c.completeBranches,
		Args: func(cmd *cobra.Command, args []string) error {
			before, command := atDash(cmd, args)
			if len(command) == 0 {
				return errors.New("no command was named: write it after --")
			}
			return atMostOne(before)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			before, command := atDash(cmd, args)
			return c.onBranch(cmd.Context(), before, func(client *api.Client, ref holdfast.BranchRef) error {
				con, err := client.Connection(cmd.Context(), ref)
				if err != nil {
					return err
				}
				program, err := exec.LookPath(command[0])
				if err != nil {
					return &programError{name: command[0], err: err}
				}
				environment := programEnvironment(con)
				if path := c.localCertificate(client); path != "" && c.env.NodeExtraCA == "" {
					environment = append(environment, "NODE_EXTRA_CA_CERTS="+path)
				}
				return replaceBy(program, command, environment)
			})
		},
	}
}

func (c *cli) psqlCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "psql [PROJECT/BRANCH[@MOMENT]] [-- ARGUMENT...]",
		Short: "Open psql on a branch",
		Long: `Runs the real psql, connected to the branch as its owner role. Arguments after -- are psql's own. Its exit status is the result.

With a moment behind the branch, as in shop/production@"10 minutes ago", it is connected to a read-only copy of that moment, which is made first
and deleted when nobody has used it for half a minute.`,
		Example: `  holdfast psql shop/development
  holdfast psql shop/production@"10 minutes ago"
  holdfast psql shop/development -- -c 'select now()'
  holdfast psql -- -f schema.sql`,
		ValidArgsFunction: c.completeBranches,
		Args: func(cmd *cobra.Command, args []string) error {
			before, _ := atDash(cmd, args)
			return atMostOne(before)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			before, arguments := atDash(cmd, args)
			branch, at, err := momentOf(first(before), time.Now())
			if err != nil {
				return usage(cmd, err)
			}
			return c.onBranch(cmd.Context(), []string{branch}, func(client *api.Client, ref holdfast.BranchRef) error {
				psql, err := findPsql()
				if err != nil {
					return err
				}
				if at != "" {
					if ref, err = c.look(cmd.Context(), client, ref, at); err != nil {
						return err
					}
				}
				con, err := client.Connection(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return replaceBy(psql, append([]string{"psql"}, arguments...), programEnvironment(con))
			})
		},
	}
}

// atDash splits arguments at --, before which stands the branch.
func atDash(cmd *cobra.Command, args []string) (before, after []string) {
	if n := cmd.ArgsLenAtDash(); n >= 0 {
		return args[:n], args[n:]
	}
	return args, nil
}

func atMostOne(args []string) error {
	if len(args) > 1 {
		return errors.New("more than one branch was named; the program's own arguments stand after --")
	}
	return nil
}

// programEnvironment is our own environment with the way to the branch in it, and without variables of libpq that would lead elsewhere.
func programEnvironment(con api.Connection) []string {
	set := append(connectionVariables(con), variable{"PGSSLMODE", con.SSLMode})
	elsewhere := []string{"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGREQUIREPEER", "PGSSLNEGOTIATION", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGREQUIREAUTH", "PGCHANNELBINDING"}
	out := variables(func(name string) bool {
		return slices.Contains(elsewhere, name) || slices.ContainsFunc(set, func(v variable) bool { return v.name == name })
	})
	for _, v := range set {
		out = append(out, v.name+"="+v.value)
	}
	return out
}

// replaceBy puts the program in this one's place, so that signals, terminal and exit status are its own. It returns only when
// that fails.
func replaceBy(path string, argv, environ []string) error {
	return &programError{name: argv[0], err: syscall.Exec(path, argv, environ)}
}

// programError is a program that could not be started. Its exit codes are those that shells use.
type programError struct {
	name string
	err  error
}

func (e *programError) Error() string { return e.name + ": " + e.err.Error() }
func (e *programError) Unwrap() error { return e.err }

func (e *programError) exitCode() int {
	if errors.Is(e.err, exec.ErrNotFound) || errors.Is(e.err, fs.ErrNotExist) {
		return 127
	}
	return 126
}

// findPsql looks in PATH, then where Debian keeps each version's programs; the newest wins.
func findPsql() (string, error) {
	if path, err := exec.LookPath("psql"); err == nil {
		return path, nil
	}
	best, bestMajor := "", 0
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql") // the pattern is well formed, so there is no error
	for _, path := range found {
		major, err := strconv.Atoi(strings.Split(path, "/")[4])
		if info, statErr := os.Stat(path); err == nil && statErr == nil && info.Mode()&0o111 != 0 && major > bestMajor {
			best, bestMajor = path, major
		}
	}
	if best == "" {
		return "", &holdfast.Error{Kind: holdfast.Precondition, Message: "psql is not installed on this machine", Hint: "install it: apt install postgresql-client"}
	}
	return best, nil
}
