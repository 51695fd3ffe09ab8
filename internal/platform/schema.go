package platform

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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

// maxDump bounds the text of a structure, in bytes.
const maxDump = 256 << 20

// dump writes a branch's structure, without what the product itself keeps there. It wakes the branch.
func (p *Platform) dump(ctx context.Context, b store.Branch) (string, error) {
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
	cmd := exec.CommandContext(ctx, program, "--schema-only", "--exclude-schema="+schema.HiddenPrefix+"*")
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/"}, server.ClientEnvironment(b.Ref().Database())...)
	out, failed := &boundedBuffer{limit: maxDump}, &boundedBuffer{limit: 8 << 10}
	cmd.Stdout, cmd.Stderr = out, failed
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("write the structure of %s: %w: %s", b.Ref(), err, strings.TrimSpace(failed.String()))
	}
	if out.cut > 0 {
		return "", &holdfast.Error{Kind: holdfast.TooMany, Message: fmt.Sprintf("the structure of %s takes more than %d MiB of text", b.Ref(), maxDump>>20)}
	}
	return out.String(), nil
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
