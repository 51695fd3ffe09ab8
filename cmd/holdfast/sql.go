package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) sqlCommand() *cobra.Command {
	var file, at, limit string
	var asCSV bool
	var ask api.SQLRequest
	cmd := &cobra.Command{
		Use:   "sql [PROJECT/BRANCH] [SQL]",
		Short: "Run SQL on a branch, or on one of its moments",
		Long: `Runs one or more SQL statements on a branch as its owner role, over the API: no password and no client program is needed.

It reads only, in one transaction that no statement can leave, unless --write is given; then each statement is a transaction of its own, as
in psql. The first statement that fails ends the script. SQL comes from the argument, from --file, or from standard input where neither is given.

With --at it runs on a read-only copy of that moment, which is made first and deleted when nobody has used it for half a minute. The moment can
also be written behind the branch: shop/production@"10 minutes ago".`,
		Example: `  holdfast sql shop/production "SELECT count(*) FROM deals"
  holdfast sql shop/production --at "10 minutes ago" "SELECT * FROM deals WHERE id = 7"
  holdfast sql shop/production@"10 minutes ago" "SELECT count(*) FROM deals"
  holdfast sql shop/production --csv "TABLE deals" > deals.csv
  holdfast sql shop/development --write --file fix.sql`,
		Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			branch, text, given := sqlArguments(args)
			if given && file != "" {
				return usage(cmd, errors.New("SQL is given twice: as an argument and by --file"))
			}
			branch, moment, err := momentOf(branch, time.Now())
			if err == nil && at != "" && moment != "" {
				err = errors.New("the moment is given twice: behind the branch and by --at")
			}
			if err == nil && at != "" {
				moment, err = (&momentFlags{at: at}).text(time.Now())
			}
			if err != nil {
				return usage(cmd, err)
			}
			d, err := parseSpan(limit)
			if err != nil {
				return usage(cmd, err)
			}
			ask.SQL, ask.Timeout = text, api.Seconds(d)
			if !given {
				if ask.SQL, err = c.readSQL(file); err != nil {
					return err
				}
			}
			return c.onBranch(cmd.Context(), []string{branch}, func(client *api.Client, ref holdfast.BranchRef) error {
				if moment != "" {
					if ref, err = c.look(cmd.Context(), client, ref, moment); err != nil {
						return err
					}
				}
				if asCSV && !c.json {
					return c.sqlCSV(cmd.Context(), client, ref, ask, cmd.Flags().Changed("max-rows"))
				}
				return c.sqlTables(cmd.Context(), client, ref, ask)
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", `run it on a copy of a moment: "10 minutes ago", "2026-11-20 14:03:11+01"`)
	cmd.Flags().BoolVar(&ask.Write, "write", false, "let it change something")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "write the result as CSV, with a line of names first; NULL is an empty field, an empty string is quoted")
	cmd.Flags().StringVar(&file, "file", "", "read the SQL from a file")
	cmd.Flags().IntVar(&ask.MaxRows, "max-rows", 1000, "how many rows of each result at most; with --csv all, unless it is given")
	cmd.Flags().StringVar(&limit, "timeout", "30s", "how long a statement may take: 30s, 10m; at most 1h")
	cmd.MarkFlagsMutuallyExclusive("at", "write")
	return cmd
}

// sqlArguments tells the branch from the SQL: one argument alone is a branch when it looks like one.
func sqlArguments(args []string) (branch, sql string, given bool) {
	switch {
	case len(args) == 2:
		return args[0], args[1], true
	case len(args) == 1:
		name, _, _ := strings.Cut(args[0], "@")
		if _, err := holdfast.ParseBranchRef(name); err == nil {
			return args[0], "", false
		}
		return "", args[0], true
	}
	return "", "", false
}

func (c *cli) readSQL(file string) (string, error) {
	from := io.Reader(c.in)
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the SQL: %w", err)
		}
		defer f.Close()
		from = f
	}
	const most = 1_000_000 // as the API takes it
	raw, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return "", fmt.Errorf("read the SQL: %w", err)
	}
	if len(raw) > most {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "the SQL is longer than 1 MB", Hint: "run it with `holdfast psql -- -f FILE`"}
	}
	return string(raw), nil
}

func (c *cli) sqlTables(ctx context.Context, client *api.Client, ref holdfast.BranchRef, ask api.SQLRequest) error {
	a, err := client.RunSQL(ctx, ref, ask)
	if err != nil {
		return err
	}
	for _, n := range a.Notices {
		c.sayNotice(n)
	}
	if c.json {
		if err := c.show(a, nil); err != nil {
			return err
		}
		return sqlError(a.Error)
	}
	err = c.show(a, func(w io.Writer) {
		for i, r := range a.Results {
			if i > 0 {
				fmt.Fprintln(w)
			}
			sqlTable(w, r)
		}
	})
	return errors.Join(err, sqlError(a.Error))
}

func sqlTable(w io.Writer, r api.SQLResult) {
	if r.Columns == nil {
		fmt.Fprintln(w, r.Tag)
		return
	}
	var header []string
	for _, col := range r.Columns {
		header = append(header, col.Name)
	}
	t := newTable(w, header...)
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			if v == nil {
				cells[i] = "NULL"
			} else {
				cells[i] = *v
			}
		}
		t.row(cells...)
	}
	t.flush()
	switch {
	case r.Truncated:
		fmt.Fprintf(w, "(the first %d rows; --max-rows shows more)\n", r.RowCount)
	case r.RowCount == 1:
		fmt.Fprintln(w, "(1 row)")
	default:
		fmt.Fprintf(w, "(%d rows)\n", r.RowCount)
	}
}

func (c *cli) sayNotice(n api.SQLMessage) {
	fmt.Fprintln(c.errOut, printableLines(n.Severity+": "+n.Message))
}

// readOnlyTransaction is PostgreSQL's code for a change where only reading is allowed, as without --write.
const readOnlyTransaction = "25006"

// sqlError is why a script failed, as an error of this program.
func sqlError(m *api.SQLMessage) error {
	if m == nil {
		return nil
	}
	text := fmt.Sprintf("%s: %s (SQLSTATE %s)", m.Severity, m.Message, m.Code)
	if m.Detail != "" {
		text += "\n" + m.Detail
	}
	if m.Position > 0 {
		text += fmt.Sprintf("\nat character %d", m.Position)
	}
	hint := m.Hint
	if m.Code == readOnlyTransaction && hint == "" {
		hint = "--write lets the script change something"
	}
	return &holdfast.Error{Kind: holdfast.Internal, Message: text, Hint: hint}
}

// sqlCSV writes results as they come, whatever their size.
func (c *cli) sqlCSV(ctx context.Context, client *api.Client, ref holdfast.BranchRef, ask api.SQLRequest, limited bool) error {
	if !limited {
		ask.MaxRows = 10_000_000
	}
	w := bufio.NewWriter(c.out)
	var failed error
	err := client.SQL(ctx, ref, ask, func(e api.SQLEvent) error {
		switch {
		case e.Columns != nil:
			header := make([]*string, len(e.Columns))
			for i, col := range e.Columns {
				header[i] = &col.Name
			}
			return writeCSV(w, [][]*string{header})
		case e.Rows != nil:
			return writeCSV(w, e.Rows)
		case e.Notice != nil:
			c.sayNotice(*e.Notice)
		case e.Failed != nil:
			failed = sqlError(e.Failed)
		case e.Done != nil && e.Done.Truncated:
			fmt.Fprintf(c.errOut, "there are more rows than the %d that were written\n", e.Done.RowCount)
		}
		return nil
	})
	return errors.Join(err, w.Flush(), failed)
}

// writeCSV writes rows as PostgreSQL's COPY does: an empty string is quoted, so that NULL is told from it.
func writeCSV(w *bufio.Writer, rows [][]*string) error {
	for _, row := range rows {
		for i, v := range row {
			if i > 0 {
				w.WriteByte(',') // a writer that fails says so in the end
			}
			if v == nil {
				continue
			}
			if *v == "" || *v == `\.` || strings.ContainsAny(*v, ",\"\r\n") {
				w.WriteString(`"` + strings.ReplaceAll(*v, `"`, `""`) + `"`)
			} else {
				w.WriteString(*v)
			}
		}
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}
