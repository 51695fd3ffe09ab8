package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) publishMigrationsCommand() *cobra.Command {
	var tool, project string
	var planOnly bool
	var consent consentFlags
	cmd := &cobra.Command{
		Use: "from-migrations DIR", Short: "Run a tool's migrations on production, proven on a copy first",
		Long: `Run a tool's migrations on production, proven on a copy first, instead of what a comparison would plan.

The files that production does not have yet run in order; which those are is read from the tool's own table, and written there as the tool
does. Consecutive files share a transaction as far as their statements allow. A revert brings the structure back; what a migration itself
drops is gone.

The tools are drizzle (a folder with meta/_journal.json), prisma (folders with migration.sql), goose (files with "-- +goose Up"), rails (files
VERSION_name.sql; migrations in Ruby cannot be read) and sql (any files, by name).`,
		Example: "  holdfast publish from-migrations drizzle --project shop\n  holdfast publish from-migrations prisma/migrations --project shop --plan\n  holdfast publish from-migrations db/migrations --tool goose --project shop --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := readMigrations(args[0], tool)
			if err != nil {
				return err
			}
			name, err := c.project(project)
			if err != nil {
				return err
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				p, err := client.PlanMigrations(cmd.Context(), name, ask)
				if err != nil {
					return suggestProject(cmd.Context(), client, name, err)
				}
				if planOnly {
					return c.showPlan(p, false)
				}
				return c.publishAll(cmd, client, p, consent)
			})
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "the project; else the linked one")
	cmd.Flags().StringVar(&tool, "tool", "", "drizzle, prisma, rails, goose or sql; else it is told from the files")
	cmd.Flags().BoolVar(&planOnly, "plan", false, "only show what would be done")
	consent.flags(cmd)
	return cmd
}

// readMigrations reads a folder of migrations in the order in which its tool runs them.
func readMigrations(dir, tool string) (api.NewMigrations, error) {
	if tool == "" {
		tool = guessTool(dir)
	}
	var files []api.Migration
	var err error
	switch tool {
	case "drizzle":
		files, err = readDrizzle(dir)
	case "prisma":
		files, err = readPrisma(dir)
	case "rails", "goose", "sql":
		files, err = readNumbered(dir, tool)
	default:
		err = &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("migrations of %q are not known", tool), Hint: "choose drizzle, prisma, rails, goose or sql"}
	}
	if err == nil && len(files) == 0 {
		err = &holdfast.Error{Kind: holdfast.Invalid, Message: dir + " holds no migrations of " + tool}
	}
	return api.NewMigrations{Tool: tool, Files: files}, err
}

func guessTool(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "meta", "_journal.json")); err == nil {
		return "drizzle"
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*", "migration.sql")); len(found) > 0 {
		return "prisma"
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*.rb")); len(found) > 0 {
		return "rails"
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*.sql")) // the pattern is valid
	for _, path := range found {
		if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), "-- +goose Up") {
			return "goose"
		}
	}
	return "sql"
}

func readDrizzle(dir string) ([]api.Migration, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "meta", "_journal.json"))
	if err != nil {
		return nil, err
	}
	var journal struct {
		Entries []struct {
			When int64  `json:"when"`
			Tag  string `json:"tag"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(raw, &journal); err != nil {
		return nil, fmt.Errorf("read Drizzle's journal: %w", err)
	}
	var out []api.Migration
	for _, e := range journal.Entries {
		sql, err := os.ReadFile(filepath.Join(dir, filepath.Base(e.Tag)+".sql"))
		if err != nil {
			return nil, err
		}
		out = append(out, api.Migration{Name: e.Tag, Version: e.When, SQL: string(sql)})
	}
	return out, nil
}

func readPrisma(dir string) ([]api.Migration, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []api.Migration
	for _, e := range entries { // by name, which is how Prisma orders them
		sql, err := os.ReadFile(filepath.Join(dir, e.Name(), "migration.sql"))
		if errors.Is(err, fs.ErrNotExist) || err != nil && !e.IsDir() {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, api.Migration{Name: e.Name(), SQL: string(sql)})
	}
	return out, nil
}

var numberedFile = regexp.MustCompile(`^(\d+)[_.-].*\.sql$`)

func readNumbered(dir, tool string) ([]api.Migration, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []api.Migration
	for _, e := range entries {
		found := numberedFile.FindStringSubmatch(e.Name())
		switch {
		case tool == "rails" && strings.HasSuffix(e.Name(), ".rb"):
			return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: e.Name() + " is written in Ruby, which only Rails can run",
				Hint: "run the migrations on development and publish that: `holdfast publish`"}
		case e.IsDir() || !strings.HasSuffix(e.Name(), ".sql") || strings.HasSuffix(e.Name(), ".down.sql"), found == nil && tool != "sql":
			continue
		}
		sql, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		m := api.Migration{Name: e.Name(), SQL: string(sql)}
		if found != nil {
			if m.Version, err = strconv.ParseInt(found[1], 10, 64); err != nil {
				return nil, fmt.Errorf("read the number of %s: %w", e.Name(), err)
			}
		}
		out = append(out, m)
	}
	if tool != "sql" {
		slices.SortStableFunc(out, func(a, b api.Migration) int { return int(min(1, max(-1, a.Version-b.Version))) })
	}
	return out, nil
}
