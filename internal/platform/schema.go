package platform

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// DiffSchemas plans the statements that would lead from one branch's structure to another's, dropping what only the first has. It
// changes nothing.
func (p *Platform) DiffSchemas(ctx context.Context, who holdfast.Principal, from, to holdfast.BranchRef) (*schema.Plan, error) {
	var in schema.Input
	for _, side := range []struct {
		ref  holdfast.BranchRef
		into **schema.Catalog
	}{{from, &in.Production}, {to, &in.Development}} {
		b, err := p.findBranch(ctx, who, side.ref, holdfast.MayRead)
		if err != nil {
			return nil, err
		}
		if *side.into, err = p.catalog(ctx, b); err != nil {
			return nil, err
		}
		if b.Look {
			// That it is read-only is ours, and not what the branch had.
			delete((*side.into).Objects, schema.Address{Kind: schema.KindSetting, Name: "default_transaction_read_only"})
		}
	}
	in.Options = schema.Options{Answers: map[string]string{"drop:*": "yes"}, AllowLossy: true, Roles: map[string]string{}}
	if from.Project != to.Project {
		in.Options.Roles[holdfast.OwnerRole(to.Project)] = holdfast.OwnerRole(from.Project)
	}
	return p.computePlan(in)
}

// DumpSchema writes a branch's structure as pg_dump does.
func (p *Platform) DumpSchema(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (string, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return "", err
	}
	return p.dump(ctx, b)
}

// The words of the schema room for what a person looks at.
type (
	Relation           = schema.Relation
	RelationStructure  = schema.RelationStructure
	RelationColumn     = schema.RelationColumn
	RelationConstraint = schema.RelationConstraint
	RelationIndex      = schema.RelationIndex
	RelationTrigger    = schema.RelationTrigger
	RelationPolicy     = schema.RelationPolicy
)

// Relations lists the tables and views of a branch. Who may see the branch may see its structure, also where its rows may not be read.
func (p *Platform) Relations(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) ([]schema.Relation, error) {
	return readStructure(ctx, p, who, ref, schema.Relations)
}

// Relation reads what belongs to one table or view of a branch. name is as in SQL.
func (p *Platform) Relation(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, name string) (schema.RelationStructure, error) {
	return readStructure(ctx, p, who, ref, func(ctx context.Context, conn *pgx.Conn) (schema.RelationStructure, error) {
		return schema.Relate(ctx, conn, name)
	})
}

// DumpRelation writes the structure of one table or view as pg_dump does, with its indexes, triggers and policies. name is as in SQL.
func (p *Platform) DumpRelation(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, name string) (string, error) {
	found, err := p.Relation(ctx, who, ref, name)
	if err != nil {
		return "", err
	}
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return "", err
	}
	// Between quotes nothing is a pattern.
	return p.dump(ctx, b, "--table="+found.SQL())
}

// readStructure reads from a branch's catalogue as the administrator, which sees everything. It wakes the branch.
func readStructure[T any](ctx context.Context, p *Platform, who holdfast.Principal, ref holdfast.BranchRef, read func(context.Context, *pgx.Conn) (T, error)) (T, error) {
	var none T
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	conn, err := p.fleet.Admin(ctx, b.ID, b.Ref().Database())
	if err != nil {
		return none, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return read(ctx, conn.Conn)
}

// maxDump bounds the text of a structure, in bytes.
const maxDump = 256 << 20

// dump writes a branch's structure, without what the product itself keeps there, or what further arguments of pg_dump choose of it. It
// wakes the branch.
func (p *Platform) dump(ctx context.Context, b store.Branch, choose ...string) (string, error) {
	release, err := p.fleet.Hold(ctx, b.ID)
	if err != nil {
		return "", err
	}
	defer release()
	server, err := p.fleet.Server(b.ID)
	if err != nil {
		return "", err
	}
	program := filepath.Join(server.Installation().BinDir, "pg_dump")
	if _, err := os.Stat(program); err != nil {
		return "", &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("pg_dump of PostgreSQL %d is not installed beside its server", b.Major),
			Hint: fmt.Sprintf("install it, for example with: apt-get install postgresql-client-%d", b.Major), Cause: err}
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"--schema-only", "--exclude-schema=" + schema.HiddenPrefix + "*"}, choose...)...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/"}, server.ClientEnvironment(b.Ref().Database())...)
	out, failed := &boundedBuffer{limit: maxDump}, &boundedBuffer{limit: 8 << 10}
	cmd.Stdout, cmd.Stderr = out, failed
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("write the structure of %s: %w: %s", b.Ref(), err, strings.TrimSpace(failed.String()))
	}
	if out.cut > 0 {
		return "", &holdfast.Error{Kind: holdfast.TooMany, Message: fmt.Sprintf("the structure of %s takes more than %d MiB of text", b.Ref(), maxDump>>20)}
	}
	return schema.WithoutAgents(out.String()), nil
}

// boundedBuffer keeps the first bytes of what is written to it and counts the rest.
type boundedBuffer struct {
	bytes.Buffer
	limit, cut int
}

// Write never fails, so that whoever writes goes on.
func (b *boundedBuffer) Write(text []byte) (int, error) {
	room := max(0, b.limit-b.Len())
	if len(text) > room {
		b.cut += len(text) - room
		b.Buffer.Write(text[:room])
		return len(text), nil
	}
	return b.Buffer.Write(text)
}
