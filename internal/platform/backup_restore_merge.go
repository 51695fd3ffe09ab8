package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/fleet"
)

// refuseFilled explains what is in the way of a restore that may not replace anything.
func (x *restoringBackup) refuseFilled(ctx context.Context) error {
	reader, release, err := x.p.readDatabase(ctx, x.target)
	if err != nil {
		return err
	}
	defer release()
	counts, err := backup.Count(ctx, reader, nil)
	if err != nil || len(counts) == 0 {
		return err
	}
	return x.conflict(counts, "holds tables already")
}

func (x *restoringBackup) conflict(counts []holdfast.TableRecords, what string) error {
	var items []string
	for _, c := range counts {
		text := fmt.Sprintf("%s.%s has %d rows", c.Schema, c.Name, c.Records)
		i := slices.IndexFunc(x.from.Tables, func(t holdfast.TableRecords) bool { return t.Schema == c.Schema && t.Name == c.Name })
		if i >= 0 {
			text += fmt.Sprintf(" (%d in the backup)", x.from.Tables[i].Records)
		}
		items = append(items, text)
	}
	if more := len(items) - 10; more > 0 {
		items = append(items[:10], fmt.Sprintf("and %d more", more))
	}
	return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("%s %s: %s", x.target.Ref(), what, strings.Join(items, ", ")),
		Hint: "--clear replaces what is there; for single tables --mode upsert or --mode insert-missing merges"}
}

// merge brings rows of the backup into the target's tables.
func (x *restoringBackup) merge(ctx context.Context) error {
	release, err := x.p.fleet.Hold(ctx, x.target.ID)
	if err != nil {
		return err
	}
	defer release()
	if err := x.refuseRows(ctx, x.mergedTables()); err != nil {
		return err
	}
	db, err := x.aside(ctx, x.mergedTables())
	if err != nil {
		return err
	}
	if err := x.mergeFrom(ctx, db, x.mergedTables()); err != nil {
		return err
	}
	return x.p.fleet.DropDatabase(ctx, x.target.ID, x.input.Aside)
}

// mergedTables are the tables of which the backup has rows and that are wanted.
func (x *restoringBackup) mergedTables() []string {
	if len(x.input.Tables) > 0 {
		return x.input.Tables
	}
	var tables []string
	for _, t := range x.from.Tables {
		tables = append(tables, holdfast.QuoteQualified(t.Schema, t.Name))
	}
	return tables
}

func (x *restoringBackup) mergeFrom(ctx context.Context, from backup.Database, tables []string) error {
	mode := x.input.Mode
	if x.input.Clear {
		mode = backup.Replace
	}
	if mode == "" {
		mode = backup.Replace // of nothing
	}
	if err := x.before(ctx); err != nil {
		return err
	}
	x.r.Step("merging into " + x.target.Ref().String())
	report, err := x.p.mergeInto(ctx, x.target, backup.MergeRequest{From: from, Tables: tables, Mode: mode, Cascade: x.input.Cascade, Progress: x.r.backupProgress()})
	if err != nil {
		return err
	}
	x.result.Merge = &report
	return nil
}

// refuseRows explains which of the tables hold rows, where nothing was said of them.
func (x *restoringBackup) refuseRows(ctx context.Context, tables []string) error {
	if x.input.Clear || x.input.Mode != "" {
		return nil
	}
	reader, release, err := x.p.readDatabase(ctx, x.target)
	if err != nil {
		return err
	}
	defer release()
	counts, err := backup.Count(ctx, reader, tables)
	if err != nil {
		return err
	}
	counts = slices.DeleteFunc(counts, func(c holdfast.TableRecords) bool { return c.Records == 0 })
	if len(counts) == 0 {
		return nil
	}
	return x.conflict(counts, "has rows in these tables")
}

// fromHistory takes tables from a moment of the target's own history, which is restored on a server of its own.
func (x *restoringBackup) fromHistory(ctx context.Context) error {
	p := x.p
	if err := x.refuseRows(ctx, x.input.Tables); err != nil {
		return err
	}
	scratch := x.target
	scratch.ID, scratch.Name, scratch.Environment = x.input.Scratch.ID, x.input.Scratch.Name, holdfast.Preview
	x.r.Step("restoring the moment aside")
	fill, err := p.restoring(x.r, x.target, spec(scratch), x.input.From, false)
	if err != nil {
		return err
	}
	owner := holdfast.OwnerRole(x.target.Project)
	handover := fleet.Handover{OldDatabase: x.target.Ref().Database(), NewDatabase: x.target.Ref().Database(), Owner: owner, Password: x.input.Scratch.Password,
		Prepare: func(context.Context, *pgx.Conn) error { return nil }}
	if _, err := p.fleet.CreateFrom(ctx, spec(scratch), fill, handover); err != nil {
		return err
	}
	release, err := p.fleet.Hold(ctx, scratch.ID)
	if err != nil {
		return err
	}
	defer release()
	server, err := p.fleet.Server(scratch.ID)
	if err != nil {
		return err
	}
	role, err := p.fleet.PutBackupRole(ctx, scratch.ID, x.input.Scratch.Password, x.target.Ref().Database())
	if err != nil {
		return err
	}
	db := serverDatabase(server, x.target.Ref().String()+" as of "+x.input.From.String(), role, x.input.Scratch.Password, x.target.Ref().Database())
	if err := x.mergeFrom(ctx, db, x.input.Tables); err != nil {
		return err
	}
	release()
	return p.fleet.Remove(ctx, fleet.Spec{ID: scratch.ID})
}
