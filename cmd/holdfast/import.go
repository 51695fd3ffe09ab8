package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// importing is what the command line says of an import.
type importing struct {
	from, passwordFile string
	check, yes         bool
	major              int
	wait               waiting
}

func (c *cli) importCommand() *cobra.Command {
	x := importing{wait: waiting{wait: true}}
	cmd := &cobra.Command{
		Use: "import PROJECT[/BRANCH] --from ADDRESS", Short: "Bring a database from elsewhere into a branch that is empty",
		Long: `Bring a database from elsewhere (Replit, Neon, RDS, any PostgreSQL) into a branch that is empty: of a project without a branch, its
development. A project that does not exist is created after a question.

Version, snapshots, extensions, size, privileges and encoding are looked at first; --check does only that. The database is only read. It is
brought into a place aside, every table's rows are counted in the source's snapshot and again here, and only then it takes the branch's place.

Arguments can be read by every account of this machine, so leave the password out of the address. It is taken from --password-file,
PGPASSWORD, the file that PGPASSFILE names, or ~/.pgpass, in this order; otherwise it is asked for, or read from standard input. With --from -
the whole address is read there.`,
		Example: `  holdfast import shop --from postgres://user@db.example.com/shop?sslmode=require
  holdfast import shop --from postgres://user@db.example.com/shop --password-file secret.txt --yes
  holdfast import shop/production --from postgres://user@db.example.com/shop --check
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
			return c.withClient(cmd.Context(), func(client *api.Client) error { return c.importDatabase(cmd.Context(), client, ref, &x) })
		},
	}
	cmd.Flags().StringVar(&x.from, "from", "", "the address of the database: postgres://user@host/database?sslmode=require; - reads it from standard input")
	cmd.Flags().StringVar(&x.passwordFile, "password-file", "", "a file whose first line is the password")
	cmd.Flags().BoolVar(&x.check, "check", false, "only look whether it can be imported")
	cmd.Flags().BoolVar(&x.yes, "yes", false, "do not ask before the project is created")
	cmd.Flags().IntVar(&x.major, "postgres", 0, "PostgreSQL's major version of a project that is created (default: the server's)")
	x.wait.flags(cmd)
	if err := cmd.MarkFlagRequired("from"); err != nil {
		panic(err) // the flag is defined above
	}
	cmd.AddCommand(c.importTableCommand())
	return cmd
}

func (c *cli) importDatabase(ctx context.Context, client *api.Client, ref holdfast.BranchRef, x *importing) error {
	address, err := c.sourceAddress(x.from, x.passwordFile)
	if err != nil {
		return err
	}
	if err := c.projectForImport(ctx, client, ref, x); err != nil {
		return err
	}
	job, err := client.ImportDatabase(ctx, ref, api.ImportDatabase{From: address, Check: x.check})
	if err != nil {
		return suggestBranch(ctx, client, ref, err)
	}
	if !x.wait.wanted() {
		return c.finishJob(ctx, client, job, false, "")
	}
	if job, err = c.follow(ctx, client, job); err != nil {
		return err
	}
	found, err := importedOf(job)
	if err != nil {
		return err
	}
	if err := c.show(job, func(w io.Writer) { found.write(w, ref, x.check) }); err != nil {
		return err
	}
	return found.problem(x.check)
}

// projectForImport creates the project where it does not exist and that was agreed to.
func (c *cli) projectForImport(ctx context.Context, client *api.Client, ref holdfast.BranchRef, x *importing) error {
	_, err := client.Project(ctx, ref.Project)
	if holdfast.KindOf(err) != holdfast.NotFound {
		return err
	}
	if ref.Branch != holdfast.DevelopmentName && ref.Branch != holdfast.ProductionName {
		return err
	}
	if x.check {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no project " + ref.Project + " to look for", Hint: "`holdfast project create " + ref.Project + "` creates it; then check again"}
	}
	if err := c.confirm(x.yes, fmt.Sprintf("There is no project %s. It will be created, with a development and a production database.", ref.Project), ref.Project); err != nil {
		return err
	}
	job, err := client.CreateProject(ctx, api.NewProject{Name: ref.Project, Major: x.major})
	if err != nil {
		return err
	}
	_, err = c.follow(ctx, client, job)
	return err
}

// importReport is what the result of a job says of an import.
type importReport struct {
	Report struct {
		Preflight struct {
			Findings []struct {
				Check, State, Detail, Hint string
				Items                      []string
			} `json:"findings"`
		} `json:"preflight"`
		Tables []struct {
			Records int64 `json:"records"`
		} `json:"tables"`
		Notes []string `json:"notes"`
	} `json:"report"`
}

func importedOf(job api.Job) (importReport, error) {
	var r importReport
	raw, err := json.Marshal(job.Result)
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read the result of the import: %w", err)
	}
	return r, nil
}

func (r importReport) write(w io.Writer, ref holdfast.BranchRef, check bool) {
	t := newTable(w, "CHECK", "STATE", "FOUND")
	for _, f := range r.Report.Preflight.Findings {
		found := f.Detail
		if len(f.Items) > 0 {
			found += ": " + strings.Join(f.Items, ", ")
		}
		if f.Hint != "" {
			found += " (" + f.Hint + ")"
		}
		t.row(f.Check, f.State, found)
	}
	t.flush()
	if check {
		return
	}
	var rows int64
	for _, n := range r.Report.Tables {
		rows += n.Records
	}
	for _, note := range r.Report.Notes {
		fmt.Fprintln(w, "left out:", printable(note))
	}
	fmt.Fprintf(w, "the database is in %s: %d tables with %d rows, in every table as many as in the source\n", ref, len(r.Report.Tables), rows)
}

// problem says whether a check found something that an import would be refused for.
func (r importReport) problem(check bool) error {
	for _, f := range r.Report.Preflight.Findings {
		if check && f.State == "failed" {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: "it cannot be imported: " + f.Detail, Hint: f.Hint}
		}
	}
	return nil
}
