package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) backupHooksCommand() *cobra.Command {
	var hooks api.ProofHooks
	var timeout string
	var whole, none []string
	var off bool
	cmd := &cobra.Command{
		Use: "hooks [PROJECT]", Short: "See and set a project's own checks of restored backups",
		Long: `See and set a project's own checks of restored backups. They run whenever a backup is verified; their results are in the signed report, and one that
fails means that the backup does not pass. What is set replaces what there was.

An assertion is one query, as NAME=QUERY, or NAME=@FILE to read it from a file. With --assert it must give one row with true, with --assert-none no row.
It runs as the owner of the database, and what it changes is undone.

A command runs on the server's machine, as the account that the databases run as, with DATABASE_URL of the restored copy, HOLDFAST_PROJECT, HOLDFAST_BRANCH
and HOLDFAST_BACKUP in its environment. A URL is sent a POST with {"project", "branch", "backup", "database_url"}. A command that does not end with 0, and an
answer that is not 2xx, have failed.

Commands, and URLs that lead to this machine or into a private network, are set with a token that may change the installation.`,
		Example: "  holdfast backup hooks shop\n  holdfast backup hooks shop --assert 'there are orders=SELECT count(*) > 0 FROM orders' --assert-none 'paid without an amount=SELECT FROM orders WHERE paid AND total IS NULL'\n" +
			"  holdfast backup hooks shop --command 'cd /srv/shop && make smoke-test' --timeout 10m\n  holdfast backup hooks shop --off",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseSpan(timeout)
			if err != nil {
				return usage(cmd, err)
			}
			hooks.CommandTimeout, hooks.URLTimeout, hooks.AssertionTimeout = api.Seconds(d), api.Seconds(d), api.Seconds(d)
			if hooks.Assertions, err = readAssertions(whole, none); err != nil {
				return err
			}
			return c.onProject(cmd, first(args), func(client *api.Client, project string) error {
				if off || hooks.Command != "" || hooks.URL != "" || len(hooks.Assertions) > 0 {
					if err := client.SetProofHooks(cmd.Context(), project, hooks); err != nil {
						return err
					}
				}
				now, err := client.ProofHooks(cmd.Context(), project)
				if err != nil {
					return err
				}
				return c.show(now, func(w io.Writer) { proofHooksTable(w, now) })
			})
		},
	}
	cmd.Flags().StringArrayVar(&whole, "assert", nil, "NAME=QUERY: a query that must give true; may be repeated")
	cmd.Flags().StringArrayVar(&none, "assert-none", nil, "NAME=QUERY: a query that must give no row; may be repeated")
	cmd.Flags().StringVar(&hooks.Command, "command", "", "a command for a shell on the server's machine")
	cmd.Flags().StringVar(&hooks.URL, "url", "", "an address that is sent a POST")
	cmd.Flags().BoolVar(&hooks.AllowPrivate, "allow-private", false, "the URL may lead to this machine or into a private network")
	cmd.Flags().StringVar(&timeout, "timeout", "5m", "how long each check may take: 90s, 10m; at most 1h")
	cmd.Flags().BoolVar(&off, "off", false, "no checks of the project's own")
	for _, other := range []string{"assert", "assert-none", "command", "url"} {
		cmd.MarkFlagsMutuallyExclusive("off", other)
	}
	return cmd
}

func readAssertions(whole, none []string) ([]api.Assertion, error) {
	var out []api.Assertion
	for i, text := range append(append([]string{}, whole...), none...) {
		name, query, found := strings.Cut(text, "=")
		if !found {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is no assertion", text), Hint: "write NAME=QUERY"}
		}
		if file, is := strings.CutPrefix(query, "@"); is {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the query of " + name + " cannot be read", Cause: err}
			}
			query = string(text)
		}
		out = append(out, api.Assertion{Name: strings.TrimSpace(name), SQL: query, NoRows: i >= len(whole)})
	}
	return out, nil
}

func proofHooksTable(w io.Writer, h api.ProofHooks) {
	if len(h.Assertions) == 0 && h.Command == "" && h.URL == "" {
		fmt.Fprintln(w, "no checks of the project's own")
		return
	}
	within := func(seconds int64) string { return span(time.Duration(seconds) * time.Second) }
	t := newTable(w, "CHECK", "MUST GIVE", "WHAT", "MAY TAKE")
	for _, a := range h.Assertions {
		want := "true"
		if a.NoRows {
			want = "no row"
		}
		t.row(a.Name, want, a.SQL, within(h.AssertionTimeout))
	}
	if h.Command != "" {
		t.row("command", "exit code 0", h.Command, within(h.CommandTimeout))
	}
	if h.URL != "" {
		t.row("url", "2xx", h.URL, within(h.URLTimeout))
	}
	t.flush()
}
