package platform

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// Extension is one that the branch's server could have.
type Extension struct {
	Name      string
	Version   string // that would be installed
	Installed string // version in the branch's database; empty: not installed
	Allowed   bool   // may be added: trusted by PostgreSQL, or on our list
	Trusted   bool   // the owner can add it with SQL, too
	Comment   string
	requires  []string
}

// allowedExtensions are those that PostgreSQL does not trust an owner to create and that still open neither the machine nor
// another branch. What is missing here on purpose: untrusted languages and file_fdw, adminpack (files and programs of the
// server), dblink (connections out of the server with any string a user likes), pg_surgery and pg_walinspect.
func allowedExtensions() []string {
	return []string{"amcheck", "autoinc", "bloom", "earthdistance", "hypopg", "insert_username", "moddatetime", "pageinspect", "pg_buffercache",
		"pg_freespacemap", "pg_prewarm", "pg_repack", "pg_stat_statements", "pg_visibility", "pgrowlocks", "pgstattuple", "postgis", "postgis_topology",
		"refint", "vector"}
}

// Extensions lists what the branch's server could have. It wakes the branch.
func (p *Platform) Extensions(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) ([]Extension, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return nil, err
	}
	conn, err := p.fleet.Admin(ctx, b.ID, ref.Database())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return listExtensions(ctx, conn.Conn)
}

func listExtensions(ctx context.Context, conn *pgx.Conn) ([]Extension, error) {
	rows, err := conn.Query(ctx, `SELECT a.name, a.default_version, coalesce(a.installed_version, ''), coalesce(v.trusted, false), coalesce(a.comment, ''), v.requires::text[]
		FROM pg_catalog.pg_available_extensions a
		LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name OPERATOR(pg_catalog.=) a.name AND v.version OPERATOR(pg_catalog.=) a.default_version
		ORDER BY a.name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Extension, error) {
		var e Extension
		err := row.Scan(&e.Name, &e.Version, &e.Installed, &e.Trusted, &e.Comment, &e.requires)
		e.Allowed = e.Trusted || slices.Contains(allowedExtensions(), e.Name)
		return e, err
	})
}

// AddExtension makes an extension in the branch's database. It wakes the branch. One that is there already is fine.
func (p *Platform) AddExtension(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, name string) error {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayWrite)
	if err != nil {
		return err
	}
	conn, err := p.fleet.Admin(ctx, b.ID, ref.Database())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	all, err := listExtensions(ctx, conn.Conn)
	if err != nil {
		return err
	}
	if err := checkExtension(all, name, map[string]bool{}); err != nil {
		return err
	}
	// The search path is set so that no object of a user's is found in place of a system's while a superuser runs the script.
	if _, err := conn.Exec(ctx, "SET search_path = public, pg_catalog"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS "+holdfast.QuoteIdentifier(name)+" CASCADE"); err != nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the extension " + name + " cannot be added", Cause: err}
	}
	return p.recordAlone(ctx, who, "extension.add", ref.String(), map[string]any{"extension": name})
}

// checkExtension refuses an extension that is missing or not allowed, or that needs one which is.
func checkExtension(all []Extension, name string, seen map[string]bool) error {
	i := slices.IndexFunc(all, func(e Extension) bool { return e.Name == name })
	switch {
	case seen[name]:
		return nil
	case i < 0:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the extension " + name + " is not installed on this machine", Hint: "install its package for this PostgreSQL version; `holdfast extension list` shows what is there"}
	case !all[i].Allowed:
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "the extension " + name + " is refused: it could reach files, programs or servers outside this database"}
	}
	seen[name] = true
	for _, needed := range all[i].requires {
		if err := checkExtension(all, needed, seen); err != nil {
			return fmt.Errorf("%s needs %s: %w", name, needed, err)
		}
	}
	return nil
}
