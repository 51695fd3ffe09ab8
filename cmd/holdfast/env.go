package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// variable is one of those by which programs find their database.
type variable struct{ name, value string }

// connectionVariables are exactly the six that applications and PostgreSQL's own tools read.
func connectionVariables(con api.Connection) []variable {
	return []variable{
		{"DATABASE_URL", con.URL},
		{"PGHOST", con.Host},
		{"PGPORT", strconv.Itoa(con.Port)},
		{"PGUSER", con.User},
		{"PGPASSWORD", con.Password},
		{"PGDATABASE", con.Database},
	}
}

func (c *cli) envCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "env [PROJECT/BRANCH]",
		Short: "Print what a program needs to connect to a branch",
		Long: `Prints exactly DATABASE_URL, PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE, for the branch's owner role. The env format can be
sourced by a shell and read by dotenv. It holds the password: do not commit it.`,
		Example: `  holdfast env shop/development > .env
  set -a; eval "$(holdfast env shop/development)"; set +a; psql
  holdfast env shop/production -o json`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.json {
				format = "json"
			}
			write := envFormat(format)
			if write == nil {
				return usage(cmd, fmt.Errorf("-o %s: the formats are env, json, yaml and table", format))
			}
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				con, err := client.Connection(cmd.Context(), ref)
				if err != nil {
					return err
				}
				w := bufio.NewWriter(c.out)
				if err := write(w, connectionVariables(con)); err != nil {
					return err
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "env", "env, json, yaml or table")
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"env", "json", "yaml", "table"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// envFormat returns what writes the variables in a format; nil for one that does not exist. All keep the order, so that people find
// what they look for.
func envFormat(name string) func(io.Writer, []variable) error {
	switch name {
	case "env":
		return writeDotenv
	case "json":
		return writeJSON
	case "yaml":
		return writeYAML
	case "table":
		return writeTable
	}
	return nil
}

func writeDotenv(w io.Writer, vars []variable) error {
	for _, v := range vars {
		fmt.Fprintf(w, "%s=%s\n", v.name, quoteEnv(v.value))
	}
	return nil
}

func writeJSON(w io.Writer, vars []variable) error {
	for i, v := range vars {
		var value strings.Builder
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v.value); err != nil {
			return err
		}
		before := ",\n"
		if i == 0 {
			before = "{\n"
		}
		fmt.Fprintf(w, "%s  %q: %s", before, v.name, strings.TrimSuffix(value.String(), "\n"))
	}
	_, err := io.WriteString(w, "\n}\n")
	return err
}

func writeYAML(w io.Writer, vars []variable) error {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for _, v := range vars {
		doc.Content = append(doc.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v.name},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v.value, Style: yaml.DoubleQuotedStyle})
	}
	return yaml.NewEncoder(w).Encode(doc)
}

func writeTable(w io.Writer, vars []variable) error {
	t := newTable(w, "VARIABLE", "VALUE")
	for _, v := range vars {
		t.row(v.name, v.value)
	}
	t.flush()
	return nil
}

// quoteEnv quotes a value so that a shell takes it literally and dotenv reads the same. Single quotes do in both. A value that
// has one itself goes into double quotes when nothing in it is special there; for what is left only the shell's own way remains,
// which dotenv does not know. Passwords and URLs that Holdfast makes never come to that.
func quoteEnv(value string) string {
	switch {
	case !strings.Contains(value, "'"):
		return "'" + value + "'"
	case !strings.ContainsAny(value, "\"$`\\!\n\r"):
		return `"` + value + `"`
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
