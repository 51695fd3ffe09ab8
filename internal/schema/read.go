package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The oldest and newest versions whose catalogues this package knows.
const (
	oldestVersion = 150000
	newestVersion = 190000 // exclusive
)

// Querier is what a read needs of a connection: a *pgx.Conn, a pool's connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Read reads the complete structure of conn's database in one read-only snapshot. It runs some forty queries over whole
// catalogues, whatever the number of tables, and takes no lock beyond that of reading. conn must not be in a transaction.
func Read(ctx context.Context, conn *pgx.Conn) (*Catalog, error) {
	epoch, err := readEpoch(ctx, conn)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("begin to read the catalogue: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was written
	// An empty search_path makes the server print every name in full; a fixed style makes it print values alike everywhere.
	for _, set := range []string{"search_path = ''", "datestyle = 'ISO'", "intervalstyle = 'postgres'", "extra_float_digits = 3", "quote_all_identifiers = off", "timezone = 'UTC'"} {
		if _, err := tx.Exec(ctx, "SET LOCAL "+set); err != nil {
			return nil, fmt.Errorf("prepare to read the catalogue: %w", err)
		}
	}
	r := &reader{ctx: ctx, db: tx, catalog: &Catalog{Epoch: epoch, Objects: map[Address]*Object{}, Hidden: map[Address]*Object{}}, byID: map[Identity]*Object{}}
	if err := r.read(); err != nil {
		return nil, fmt.Errorf("read the catalogue of %s: %w", r.catalog.Database, err)
	}
	return r.catalog, nil
}

type reader struct {
	ctx     context.Context
	db      Querier
	catalog *Catalog
	byID    map[Identity]*Object
	classes map[uint32]string     // oid of a catalogue to its name
	alias   map[Identity]Identity // an internal object to the object that the user made
}

func (r *reader) read() error {
	steps := []func() error{r.readServer, r.readObjects, r.readComments, r.readLabels, r.readAliases, r.readDependencies}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	r.finish()
	return nil
}

// queries are every kind's reader, in no particular order.
func queries(version int) []string {
	return []string{
		readSchemas, readRelations(), readSequences(), readSequenceOwners, readColumns(version), readDefaults(), readPartitions(), readConstraints(),
		readIndexes(), readIndexPartitions, readStatistics(), readTriggers(), readRules(), readPolicies(),
		readTypes(version), readDomainConstraints(), readCollations(version), readConversions(), readRoutines(), readAggregates(), readOperators(),
		readOperatorFamilies(), readOperatorClasses(), readCasts(), readTextSearch(),
		readExtensions(), readLanguages(), readForeign(), readEventTriggers(), readPublications(version), readSubscriptions, readDefaultACLs, readSettings, readMembers,
	}
}

// each runs a query and calls scan for every row.
func (r *reader) each(sql string, scan func(row pgx.Rows) error) error {
	rows, err := r.db.Query(r.ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *reader) readServer() error {
	c := r.catalog
	err := r.each(`SELECT current_setting('server_version_num')::int, current_database()::text, current_user::text`, func(row pgx.Rows) error {
		return row.Scan(&c.Version, &c.Database, &c.User)
	})
	if err != nil {
		return err
	}
	if c.Version < oldestVersion || c.Version >= newestVersion {
		return fmt.Errorf("version %d of PostgreSQL is not known here", c.Version/10000)
	}
	r.classes = map[uint32]string{}
	err = r.each(`SELECT oid, relname::text FROM pg_class WHERE oid < 16384 AND relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace`, func(row pgx.Rows) error {
		var oid uint32
		var name string
		defer func() { r.classes[oid] = name }()
		return row.Scan(&oid, &name)
	})
	if err != nil {
		return err
	}
	err = r.each(`SELECT rolname::text FROM pg_roles ORDER BY 1`, func(row pgx.Rows) error {
		var name string
		defer func() { c.Roles = append(c.Roles, name) }()
		return row.Scan(&name)
	})
	if err != nil {
		return err
	}
	c.Casts = map[string]string{}
	err = r.each(`SELECT format_type(castsource, NULL)||'>'||format_type(casttarget, NULL), castcontext::text FROM pg_cast`, func(row pgx.Rows) error {
		var pair, how string
		defer func() { c.Casts[pair] = how }()
		return row.Scan(&pair, &how)
	})
	if err != nil {
		return err
	}
	c.Installable = map[string][]string{}
	return r.each(`SELECT v.name::text, v.version FROM pg_available_extension_versions v JOIN pg_available_extensions e ON e.name = v.name
		ORDER BY v.name, v.version <> e.default_version, v.version`, func(row pgx.Rows) error {
		var name, version string
		defer func() { c.Installable[name] = append(c.Installable[name], version) }()
		return row.Scan(&name, &version)
	})
}

func (r *reader) readObjects() error {
	for _, query := range queries(r.catalog.Version) {
		err := r.each(query, func(row pgx.Rows) error {
			o := &Object{}
			var attrs []byte
			var position int32
			if err := row.Scan(&o.Kind, &o.ID.Class, &o.ID.OID, &o.ID.Sub, &o.Schema, &o.Name, &o.Sub, &position, &o.Bytes, &attrs); err != nil {
				return err
			}
			o.Position = int(position)
			return r.add(o, attrs)
		})
		if err != nil {
			return fmt.Errorf("%w (%.60s)", err, query)
		}
	}
	return nil
}

func (r *reader) add(o *Object, attrs []byte) error {
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(attrs, &values); err != nil {
		return err
	}
	o.Attrs = make(map[string]string, len(values))
	for k, raw := range values {
		switch {
		case string(raw) == "null":
		case k == "label_ids":
			if err := json.Unmarshal(raw, &o.LabelIDs); err != nil {
				return err
			}
		case k == "acl" || k == "initial":
			var items []string
			if err := json.Unmarshal(raw, &items); err != nil {
				return err
			}
			o.Attrs[k] = canonicalACL(slices.DeleteFunc(items, ours))
		case raw[0] == '"':
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return err
			}
			o.Attrs[k] = text
		default:
			o.Attrs[k] = string(raw)
		}
	}
	r.byID[o.ID] = o
	return nil
}

// ours says whether an item of an ACL is about the role that agents read production as. The product gives and takes its rights; they are no part of a structure.
func ours(item string) bool { return strings.HasPrefix(item, agentRole+"=") }

// canonicalACL sorts the entries: their order says nothing.
func canonicalACL(items []string) string {
	slices.Sort(items)
	text, _ := json.Marshal(items) // strings always encode
	return string(text)
}

// readComments attaches comments and security labels. The index of a constraint can have a comment of its own.
func (r *reader) readComments() error {
	attach := func(attr string) func(row pgx.Rows) error {
		return func(row pgx.Rows) error {
			var class, oid uint32
			var sub int32
			var text string
			if err := row.Scan(&class, &oid, &sub, &text); err != nil {
				return err
			}
			if o := r.byID[Identity{r.classes[class], oid, sub}]; o != nil {
				o.Attrs[attr] = text
			}
			return nil
		}
	}
	if err := r.each(`SELECT classoid, objoid, objsubid, description FROM pg_description WHERE objoid >= 16384 OR classoid IN ('pg_namespace'::regclass, 'pg_extension'::regclass)`, attach("comment")); err != nil {
		return err
	}
	if err := r.each(`SELECT 'pg_constraint'::regclass::oid, k.oid, 0, d.description FROM pg_description d JOIN pg_constraint k ON k.conindid = d.objoid AND k.contype IN ('p','u','x')
		WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0`, attach("index_comment")); err != nil {
		return err
	}
	return r.each(`SELECT classoid, objoid, objsubid, jsonb_object_agg(provider, label)::text FROM pg_seclabel GROUP BY 1, 2, 3`, attach("security_labels"))
}

// readLabels gives composite types the identity by which their columns are known.
func (r *reader) readLabels() error {
	return r.each(`SELECT t.oid, t.typrelid FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' WHERE t.oid >= 16384`, func(row pgx.Rows) error {
		var typ, relation uint32
		if err := row.Scan(&typ, &relation); err != nil {
			return err
		}
		if o := r.byID[Identity{"pg_type", typ, 0}]; o != nil {
			r.byID[Identity{"pg_class", relation, 0}] = o
		}
		return nil
	})
}

// readAliases maps what the server makes by itself to the object that the user made.
func (r *reader) readAliases() error {
	r.alias = map[Identity]Identity{}
	return r.each(`
	SELECT 'pg_type', t.oid, 'pg_class', t.typrelid, 0 FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind <> 'c' WHERE t.oid >= 16384
	UNION ALL SELECT 'pg_type', t.oid, 'pg_type', t.typelem, 0 FROM pg_type t JOIN pg_type el ON el.oid = t.typelem AND el.typarray = t.oid WHERE t.oid >= 16384
	UNION ALL SELECT 'pg_type', rngmultitypid, 'pg_type', rngtypid, 0 FROM pg_range WHERE rngmultitypid >= 16384
	UNION ALL SELECT 'pg_type', ma.typarray, 'pg_type', r.rngtypid, 0 FROM pg_range r JOIN pg_type ma ON ma.oid = r.rngmultitypid WHERE r.rngmultitypid >= 16384
	UNION ALL SELECT 'pg_rewrite', oid, 'pg_class', ev_class, 0 FROM pg_rewrite WHERE rulename = '_RETURN' AND oid >= 16384
	UNION ALL SELECT 'pg_attrdef', d.oid, 'pg_class', d.adrelid, d.adnum::int FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> ''
	UNION ALL SELECT 'pg_class', conindid, 'pg_constraint', oid, 0 FROM pg_constraint WHERE contype IN ('p','u','x')
	UNION ALL SELECT CASE classid WHEN 'pg_amop'::regclass THEN 'pg_amop' ELSE 'pg_amproc' END, objid,
		CASE refclassid WHEN 'pg_opclass'::regclass THEN 'pg_opclass' ELSE 'pg_opfamily' END, refobjid, 0 FROM pg_depend
		WHERE classid IN ('pg_amop'::regclass, 'pg_amproc'::regclass) AND objid >= 16384
		AND (refclassid = 'pg_opclass'::regclass AND deptype = 'i' OR refclassid = 'pg_opfamily'::regclass AND deptype = 'a')
	UNION ALL SELECT 'pg_trigger', oid, 'pg_constraint', tgconstraint, 0 FROM pg_trigger WHERE tgisinternal
	UNION ALL SELECT e.refclass, e.objid, 'pg_extension', e.refobjid, 0 FROM (SELECT (SELECT relname::text FROM pg_class WHERE oid = classid) AS refclass, objid, refobjid FROM pg_depend WHERE deptype = 'e') e`,
		func(row pgx.Rows) error {
			var from, to Identity
			if err := row.Scan(&from.Class, &from.OID, &to.Class, &to.OID, &to.Sub); err != nil {
				return err
			}
			r.alias[from] = to
			return nil
		})
}

// resolve finds the user's object behind an identity, or nil when it is the system's own.
func (r *reader) resolve(id Identity) *Object {
	for range 6 { // an array of a multirange of a range of an extension: chains are short
		if o := r.byID[id]; o != nil {
			return o
		}
		whole := id
		whole.Sub = 0
		if next, ok := r.alias[id]; ok {
			id = next
		} else if next, ok := r.alias[whole]; ok {
			id = next
		} else if id.Sub != 0 {
			id = whole
		} else {
			return nil
		}
	}
	return nil
}

// readDependencies reads who needs whom. What the catalogue holds in other ways than pg_depend is added in the same shape.
// That a partition, or its index, depends on its parent's is left out: it is the attachment that does, and that is an object of its own.
func (r *reader) readDependencies() error {
	inherits := `SELECT 'pg_inherits', i.inhrelid, i.inhseqno, 'pg_class', %s, 0 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind IN ('r','p','f')`
	indexes := `SELECT 'index partition', i.inhrelid, 0, 'pg_class', %s, 0 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind IN ('i','I')`
	owners := `SELECT 'sequence owner', objid, 0, 'pg_class', %s FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'a' AND refclassid = 'pg_class'::regclass AND refobjsubid > 0`
	// A partition key's columns depend on the table there, so that none of them can go without it; for us the table needs them.
	keys := `SELECT 'pg_class', objid, 0, 'pg_class', objid, objsubid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
		AND objid = refobjid AND objsubid > 0 AND refobjsubid = 0 AND deptype = 'i'`
	return r.each(`SELECT (SELECT relname::text FROM pg_class WHERE oid = d.classid), d.objid, d.objsubid, (SELECT relname::text FROM pg_class WHERE oid = d.refclassid), d.refobjid, d.refobjsubid
	FROM pg_depend d WHERE d.objid >= 16384 AND d.deptype NOT IN ('e', 'P')
	AND NOT (d.deptype = 'a' AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.objsubid = 0 AND d.refobjsubid = 0
		AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = d.objid AND i.inhparent = d.refobjid))
	AND NOT (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.objid = d.refobjid AND d.objsubid > 0 AND d.refobjsubid = 0)
	UNION ALL `+keys+` UNION ALL `+fmt.Sprintf(inherits, "i.inhrelid")+` UNION ALL `+fmt.Sprintf(inherits, "i.inhparent")+`
	UNION ALL `+fmt.Sprintf(indexes, "i.inhrelid")+` UNION ALL `+fmt.Sprintf(indexes, "i.inhparent")+`
	UNION ALL `+fmt.Sprintf(owners, "objid, 0")+` UNION ALL `+fmt.Sprintf(owners, "refobjid, refobjsubid"), func(row pgx.Rows) error {
		var from, to Identity
		if err := row.Scan(&from.Class, &from.OID, &from.Sub, &to.Class, &to.OID, &to.Sub); err != nil {
			return err
		}
		o, need := r.resolve(from), r.resolve(to)
		if o == nil || need == nil || o == need {
			return nil
		}
		o.Deps = append(o.Deps, need.Address)
		return nil
	})
}

// finish files the objects under their addresses and tidies their dependencies.
func (r *reader) finish() {
	for id, o := range r.byID {
		if o.ID != id {
			continue // a composite type's second name
		}
		into := r.catalog.Objects
		if strings.HasPrefix(o.Schema, HiddenPrefix) || o.Kind == KindSchema && strings.HasPrefix(o.Name, HiddenPrefix) {
			into = r.catalog.Hidden
		}
		into[o.Address] = o
	}
	for _, o := range r.catalog.Objects {
		r.tidy(o)
	}
	for _, o := range r.catalog.Hidden {
		r.tidy(o)
	}
}

// tidy sorts an object's dependencies, adds its schema, and leaves out those that only say that a whole has its parts.
func (r *reader) tidy(o *Object) {
	if o.Kind == KindSequence {
		// The sequence's owner is an object of its own: the sequence itself exists without the column. An identity sequence does not.
		if !o.is("owned") {
			o.Deps = slices.DeleteFunc(o.Deps, func(a Address) bool { return a.Kind == KindDefault })
		} else {
			o.Deps = slices.DeleteFunc(o.Deps, func(a Address) bool { return a.Kind == KindColumn })
		}
	}
	slices.SortFunc(o.Deps, Address.compare)
	o.Deps = slices.Compact(o.Deps)
	o.Deps = slices.DeleteFunc(o.Deps, func(a Address) bool { return a == o.Address })
}
