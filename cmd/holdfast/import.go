package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) importCommand() *cobra.Command {
	var from string
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "import PROJECT[/BRANCH] --from ADDRESS", Short: "Bring a database from elsewhere into a branch that is empty",
		Long: `Bring a database from elsewhere (Neon, RDS, any PostgreSQL) into a branch that is empty: of a project without a branch, its development.

Version, extensions, size and privileges are looked at first. The database is only read. It is brought into a place aside, every table's rows
are counted in the source's snapshot and again here, and only then it takes the branch's place.

Arguments can be read by every account of this machine, so leave the password out of the address: it is asked for, or read from standard
input, or with --from - the whole address is.`,
		Example: `  holdfast import shop --from postgres://user@db.example.com/shop?sslmode=require
  echo "$SOURCE_URL" | holdfast import shop/production --from -`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if !strings.Contains(name, "/") {
				name += "/" + holdfast.DevelopmentName
			}
			ref, err := holdfast.ParseBranchRef(name)
			if err != nil {
				return err
			}
			address, err := c.sourceAddress(from)
			if err != nil {
				return err
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				job, err := client.ImportDatabase(cmd.Context(), ref, address)
				if err != nil {
					return suggestBranch(cmd.Context(), client, ref, err)
				}
				if !wait.wanted() {
					return c.finishJob(cmd.Context(), client, job, false, "")
				}
				if job, err = c.follow(cmd.Context(), client, job); err != nil {
					return err
				}
				return c.show(job, func(w io.Writer) {
					fmt.Fprintf(w, "the database is in %s, with as many rows in every table as in the source\n", ref)
				})
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the address of the database: postgres://user@host/database?sslmode=require; - reads it from standard input")
	wait.flags(cmd)
	if err := cmd.MarkFlagRequired("from"); err != nil {
		panic(err) // the flag is defined above
	}
	cmd.AddCommand(c.importTableCommand())
	return cmd
}

// sourceAddress is the address with its password, which is asked for where it is missing.
func (c *cli) sourceAddress(from string) (string, error) {
	if from == "-" {
		return c.askSecret("address of the database: ")
	}
	u, err := url.Parse(from)
	if err != nil {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "the address of the database is not a URL", Hint: "write it as postgres://USER@HOST:PORT/DATABASE?sslmode=require"}
	}
	if _, given := u.User.Password(); given || u.User == nil {
		return from, nil
	}
	password, err := c.askSecret("password of " + u.User.Username() + ": ")
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}
