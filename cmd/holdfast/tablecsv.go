package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) exportCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Write a table as CSV", Example: "  holdfast export table shop/development public.orders --out orders.csv"}
	cmd.AddCommand(c.exportTableCommand())
	return cmd
}

func (c *cli) exportTableCommand() *cobra.Command {
	var ask api.TableExport
	var out string
	cmd := &cobra.Command{
		Use: "table PROJECT/BRANCH TABLE", Short: "Write a table or view as CSV",
		Long: "Write a table or view as CSV, as COPY does: NULL is nothing, an empty text is in quotes. A file that did not come whole is not left behind.",
		Example: `  holdfast export table shop/development public.orders --out orders.csv
  holdfast export table shop/development orders --columns id,total --where "total > 100" --delimiter ';' --encoding windows-1252`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Table = args[1]
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				body, err := client.ExportTable(cmd.Context(), ref, ask)
				if err != nil {
					return err
				}
				defer body.Close()
				if out == "" || out == "-" {
					return copyStream(c.out, body)
				}
				if err := saveStream(out, body, -1); err != nil {
					return err
				}
				return c.say("saved as %s", out)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "the file to write; standard output when left out")
	cmd.Flags().StringSliceVar(&ask.Columns, "columns", nil, "only these columns, in this order; all but those that the database computes when left out")
	cmd.Flags().StringVar(&ask.Where, "where", "", "only rows for which this SQL condition holds")
	csvFlags(cmd, &ask.Delimiter, &ask.Encoding, &ask.NoHeader)
	return cmd
}

func csvFlags(cmd *cobra.Command, delimiter, encoding *string, noHeader *bool) {
	cmd.Flags().StringVar(delimiter, "delimiter", "", `the character between values, \t for a tabulator; a comma when left out`)
	cmd.Flags().StringVar(encoding, "encoding", "", "the file's encoding, as IANA names it: UTF-16, ISO-8859-1, windows-1252; UTF-8 when left out")
	cmd.Flags().BoolVar(noHeader, "no-header", false, "the first line is a row and names no columns")
}

func (c *cli) importTableCommand() *cobra.Command {
	var ask api.TableImport
	var file, rejects string
	cmd := &cobra.Command{
		Use: "table PROJECT/BRANCH TABLE --file FILE", Short: "Bring a CSV file into a table",
		Long: `Bring a CSV file into a table, in one transaction. Nothing between two delimiters is NULL, and "" is an empty text, as COPY reads it.

A row that the table does not take ends the import, and nothing is kept. With --rejects the other rows are kept, and that file gets each such
row with its line and the reason: a CSV file in UTF-8 with commas and the table's columns, which can be mended and imported as it is, without
--map, --delimiter, --encoding and --no-header. Before rows of a branch with a history change, a checkpoint is made.`,
		Example: `  holdfast import table shop/development public.orders --file orders.csv --dry-run
  holdfast import table shop/development public.orders --file orders.csv --map Total=total --upsert id --rejects bad.csv`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, pair := range ask.Map {
				if from, _, found := strings.Cut(pair, "="); from == "" || !found {
					return usage(cmd, fmt.Errorf("--map %s is not FILECOLUMN=TABLECOLUMN", pair))
				}
			}
			ask.Table, ask.Rejects = args[1], rejects != ""
			in := c.in
			if file != "-" {
				f, err := os.Open(file)
				if err != nil {
					return fmt.Errorf("open the file: %w", err)
				}
				defer f.Close()
				in = f
			}
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				bad := &rejectsFile{path: rejects}
				end, err := client.ImportTable(cmd.Context(), ref, ask, in, bad.add)
				if err := errors.Join(err, bad.close()); err != nil {
					return err
				}
				return c.show(end, func(w io.Writer) {
					kept := "came into"
					if end.DryRun {
						kept = "would come into"
					}
					fmt.Fprintf(w, "%d rows %s %s of %s\n", end.Rows, kept, ask.Table, ref)
					if end.Rejected > 0 {
						fmt.Fprintf(w, "%d rows were rejected: %s says why\n", end.Rejected, rejects)
					}
				})
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the CSV file; - is standard input")
	cmd.Flags().StringArrayVar(&ask.Map, "map", nil, "FILECOLUMN=TABLECOLUMN, for a column that is called otherwise in the file; FILECOLUMN= leaves it out; can be given several times")
	cmd.Flags().StringSliceVar(&ask.Upsert, "upsert", nil, "columns of a unique key: a row that is there is changed")
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "try everything and keep nothing")
	cmd.Flags().StringVar(&rejects, "rejects", "", "keep the good rows, and write the bad ones to this file, with line and reason")
	csvFlags(cmd, &ask.Delimiter, &ask.Encoding, &ask.NoHeader)
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// rejectsFile gets rejected rows: line, reason, and the values under the table's columns. It is made with the first of them.
type rejectsFile struct {
	path string
	file *os.File
	out  *bufio.Writer
}

func (r *rejectsFile) add(columns []string, row api.RejectedRow) (err error) {
	if r.file == nil {
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("make the file for rejected rows: %w", err)
		}
		r.out = bufio.NewWriter(r.file)
		header := []*string{ptr(holdfast.RejectedLine), ptr(holdfast.RejectedReason)}
		for _, name := range columns {
			header = append(header, ptr(name))
		}
		if _, err := r.out.WriteString(csvLine(header)); err != nil {
			return err
		}
	}
	reason := row.Reason
	if row.Text != "" {
		reason += ": " + row.Text
	}
	_, err = r.out.WriteString(csvLine(append([]*string{ptr(strconv.FormatInt(row.Line, 10)), &reason}, row.Values...)))
	return err
}

// csvLine writes a record as COPY does: NULL is nothing and an empty text is in quotes, which encoding/csv does not tell apart.
func csvLine(values []*string) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case v == nil:
		case *v == "" || *v == `\.` || strings.ContainsAny(*v, "\",\r\n"):
			b.WriteString(`"` + strings.ReplaceAll(*v, `"`, `""`) + `"`)
		default:
			b.WriteString(*v)
		}
	}
	return b.String() + "\n"
}

func (r *rejectsFile) close() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.out.Flush(), r.file.Close())
}
