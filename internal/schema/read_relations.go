package schema

import "fmt"

// Every query of the reader has the same columns, so that one loop reads them all:
// kind, class, oid, sub, schema, name, part, position, bytes, attributes (JSON).
// They run with an empty search_path: the server prints every name outside pg_catalog with its schema.

// ofUsers keeps system schemas out.
const ofUsers = ` n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' `

// notOfExtension leaves out what an extension brought: CREATE EXTENSION makes it.
func notOfExtension(class, oid string) string {
	return fmt.Sprintf(` NOT EXISTS (SELECT FROM pg_depend member WHERE member.classid = '%s'::regclass AND member.objid = %s AND member.deptype = 'e') `, class, oid)
}

// notMadeByServer leaves out what the server makes along with something else, such as the constructors and casts of a range type.
func notMadeByServer(class, oid string) string {
	return fmt.Sprintf(` NOT EXISTS (SELECT FROM pg_depend made WHERE made.classid = '%s'::regclass AND made.objid = %s AND made.deptype = 'i') `, class, oid)
}

// qualified prints a name of the catalogue with its schema.
func qualified(space, name string) string {
	return "quote_ident(" + space + ")||'.'||quote_ident(" + name + ")"
}

// sorted turns an array column into a sorted JSON array, or null when it is null or empty.
func sorted(array string) string {
	return "(SELECT jsonb_agg(x ORDER BY x) FROM unnest(" + array + ") x)"
}

const readSchemas = `SELECT 'schema', 'pg_namespace', n.oid, 0, '', n.nspname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(n.nspowner), 'acl', coalesce(n.nspacl, acldefault('n', n.nspowner))::text[])
	FROM pg_namespace n WHERE ` + ofUsers

func readRelations() string {
	return `SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
	'pg_class', c.oid, 0, n.nspname, c.relname, '', 0, CASE WHEN c.relkind IN ('r','m') THEN pg_relation_size(c.oid) ELSE 0 END,
	jsonb_build_object(
	'owner', pg_get_userbyid(c.relowner),
	'acl', coalesce(c.relacl, acldefault('r', c.relowner))::text[],
	'persistence', nullif(c.relpersistence, 'p'),
	'partition_key', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
	'partition', nullif(c.relispartition, false),
	'of_type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
	'options', ` + sorted("c.reloptions") + `,
	'toast_options', ` + sorted("t.reloptions") + `,
	'access_method', CASE WHEN c.relkind IN ('r','m','p') THEN nullif(am.amname, 'heap') END,
	'tablespace', s.spcname,
	'replica_identity', CASE WHEN c.relreplident IN ('n','f') AND c.relkind IN ('r','p') THEN c.relreplident::text END,
	'row_security', nullif(c.relrowsecurity, false),
	'force_row_security', nullif(c.relforcerowsecurity, false),
	'server', fs.srvname,
	'fdw_options', ` + sorted("ft.ftoptions") + `,
	'populated', CASE WHEN c.relkind = 'm' THEN c.relispopulated END,
	'definition', CASE WHEN c.relkind IN ('v','m') THEN pg_get_viewdef(c.oid) END)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
	LEFT JOIN pg_am am ON am.oid = c.relam
	LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
	LEFT JOIN pg_foreign_table ft ON ft.ftrelid = c.oid LEFT JOIN pg_foreign_server fs ON fs.oid = ft.ftserver
	WHERE c.relkind IN ('r','p','v','m','f') AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid")
}

// readSequences reads free, owned and identity sequences. An identity sequence comes and goes with its column.
func readSequences() string {
	return `SELECT 'sequence', 'pg_class', c.oid, 0, n.nspname, c.relname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(c.relowner),
	'acl', coalesce(c.relacl, acldefault('s', c.relowner))::text[],
	'persistence', nullif(c.relpersistence, 'p'),
	'type', format_type(q.seqtypid, NULL), 'start', q.seqstart::text, 'increment', q.seqincrement::text,
	'min', q.seqmin::text, 'max', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', nullif(q.seqcycle, false),
	'identity', (SELECT quote_ident(a.attname) FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0),
	'owned', (SELECT true FROM pg_depend d
		WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a' AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 LIMIT 1))
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence q ON q.seqrelid = c.oid
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid")
}

const readSequenceOwners = `SELECT 'sequence owner', 'sequence owner', c.oid, 0, n.nspname, c.relname, '', 0, 0::bigint, jsonb_build_object(
	'column', quote_ident(tn.nspname)||'.'||quote_ident(t.relname)||'.'||quote_ident(a.attname))
	FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
	JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
	WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a' AND d.refobjsubid > 0 AND ` + ofUsers

func readColumns(version int) string {
	notNullName := "NULL::text"
	if version >= 180000 {
		// Version 18 gives NOT NULL a name of its own; the name that it chooses itself is not worth a statement.
		notNullName = `CASE WHEN a.attnotnull THEN (SELECT CASE WHEN k.conname <> c.relname||'_'||a.attname||'_not_null' OR NOT k.convalidated OR k.connoinherit THEN k.conname::text END
			|| CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END || CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END
			FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] LIMIT 1) END`
	}
	return `SELECT 'column', 'pg_class', c.oid, a.attnum::int, n.nspname, c.relname, a.attname, a.attnum::int, 0::bigint, jsonb_build_object(
	'type', format_type(a.atttypid, a.atttypmod),
	'type_name', format_type(a.atttypid, NULL),
	'collation', CASE WHEN a.attcollation <> ty.typcollation AND a.attcollation <> 0 THEN (SELECT ` + qualified("cn.nspname", "co.collname") + `
		FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END,
	'not_null', nullif(a.attnotnull, false),
	'not_null_name', ` + notNullName + `,
	'storage', CASE WHEN a.attstorage <> ty.typstorage AND c.relkind NOT IN ('v','c') THEN a.attstorage::text END,
	'compression', nullif(a.attcompression, ''),
	'statistics', nullif(a.attstattarget, -1),
	'options', ` + sorted("a.attoptions") + `,
	'fdw_options', ` + sorted("a.attfdwoptions") + `,
	'identity', nullif(a.attidentity, ''),
	'generated', nullif(a.attgenerated, ''),
	'expression', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
	'inherited', nullif(a.attinhcount > 0, false),
	'merged', nullif(a.attinhcount > 0 AND a.attislocal AND NOT c.relispartition, false),
	'acl', a.attacl::text[])
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_type ty ON ty.oid = a.atttypid
	LEFT JOIN pg_attrdef d ON a.attgenerated <> '' AND d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE c.relkind IN ('r','p','v','m','f','c') AND a.attnum > 0 AND NOT a.attisdropped AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid") + `
	AND (c.relkind <> 'c' OR ` + notOfExtension("pg_type", "c.reltype") + `)`
}

func readDefaults() string {
	return `SELECT 'default', 'pg_attrdef', d.oid, 0, n.nspname, c.relname, a.attname, 0, 0::bigint, jsonb_build_object('expression', pg_get_expr(d.adbin, d.adrelid))
	FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
	WHERE a.attgenerated = '' AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid")
}

// readPartitions reads how tables are attached to their parents: as partitions, or by INHERITS.
func readPartitions() string {
	return `SELECT CASE WHEN c.relispartition THEN 'partition' ELSE 'inheritance' END, 'pg_inherits', c.oid, i.inhseqno, n.nspname, c.relname,
	CASE WHEN c.relispartition THEN '' ELSE ` + qualified("pn.nspname", "p.relname") + ` END, i.inhseqno, 0::bigint, jsonb_build_object(
	'parent', ` + qualified("pn.nspname", "p.relname") + `, 'bound', pg_get_expr(c.relpartbound, c.oid))
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
	WHERE c.relkind IN ('r','p','f') AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid")
}

// readConstraints leaves out the copies of a foreign key that stand for the partitions of the table that it references.
func readConstraints() string {
	return `SELECT 'constraint', 'pg_constraint', k.oid, 0, n.nspname, c.relname, k.conname, 0, 0::bigint, jsonb_build_object(
	'type', k.contype,
	'definition', pg_get_constraintdef(k.oid),
	'inherited', nullif(k.coninhcount > 0 AND NOT k.conislocal, false),
	'clustered', nullif(x.indisclustered, false),
	'replica_identity', nullif(x.indisreplident, false),
	'invalid', nullif(NOT x.indisvalid, false),
	'tablespace', s.spcname,
	'index', CASE WHEN k.contype IN ('p','u','x') THEN i.relname END,
	'columns', (SELECT jsonb_agg(a.attname ORDER BY o) FROM unnest(k.conkey) WITH ORDINALITY u(num, o) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
	'ref', CASE WHEN k.contype = 'f' THEN jsonb_build_array(fn.nspname, fc.relname) END,
	'ref_columns', (SELECT jsonb_agg(a.attname ORDER BY o) FROM unnest(k.confkey) WITH ORDINALITY u(num, o) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num))
	FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_class i ON i.oid = k.conindid AND k.contype IN ('p','u','x') LEFT JOIN pg_index x ON x.indexrelid = i.oid
	LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
	LEFT JOIN pg_class fc ON fc.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
	LEFT JOIN pg_constraint kp ON kp.oid = k.conparentid
	WHERE k.contype IN ('c','p','u','f','x') AND NOT (k.contype = 'f' AND kp.oid IS NOT NULL AND kp.conrelid = k.conrelid) AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid") + ` AND ` + notOfExtension("pg_constraint", "k.oid")
}

func readIndexes() string {
	return `SELECT 'index', 'pg_class', i.oid, 0, n.nspname, i.relname, '', 0, 0::bigint, jsonb_build_object(
	'table', c.relname, 'unique', nullif(x.indisunique, false),
	'definition', substr(pg_get_indexdef(i.oid), length('CREATE '||CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END||'INDEX '||quote_ident(i.relname)||' ') + 1),
	'clustered', nullif(x.indisclustered, false),
	'replica_identity', nullif(x.indisreplident, false),
	'invalid', nullif(NOT x.indisvalid, false),
	'tablespace', s.spcname,
	'partitioned', nullif(i.relkind = 'I', false),
	'statistics', (SELECT jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0))
	FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = i.relnamespace
	LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
	WHERE c.relkind IN ('r','p','m') AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p','u','x'))
	AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid") + ` AND ` + notOfExtension("pg_class", "i.oid")
}

const readIndexPartitions = `SELECT 'index partition', 'index partition', c.oid, 0, n.nspname, c.relname, '', 0, 0::bigint, jsonb_build_object(
	'parent', quote_ident(pn.nspname)||'.'||quote_ident(p.relname))
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
	WHERE c.relkind IN ('i','I') AND ` + ofUsers

func readStatistics() string {
	return `SELECT 'statistics', 'pg_statistic_ext', s.oid, 0, n.nspname, s.stxname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(s.stxowner),
	'table', ` + qualified("tn.nspname", "c.relname") + `,
	'kinds', (SELECT jsonb_agg(k::text ORDER BY k::text) FROM unnest(s.stxkind) k WHERE k::text <> 'e'),
	'columns_of', (SELECT jsonb_agg(a.attname ORDER BY a.attname) FROM unnest(s.stxkeys) k JOIN pg_attribute a ON a.attrelid = s.stxrelid AND a.attnum = k),
	'expressions', pg_get_statisticsobjdef_expressions(s.oid),
	'target', nullif(s.stxstattarget, -1))
	FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
	JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_statistic_ext", "s.oid")
}

func readTriggers() string {
	return `SELECT 'trigger', 'pg_trigger', t.oid, 0, n.nspname, c.relname, t.tgname, 0, 0::bigint, jsonb_build_object(
	'constraint', nullif(t.tgconstraint <> 0, false),
	'definition', substr(pg_get_triggerdef(t.oid), length('CREATE '||CASE WHEN t.tgconstraint <> 0 THEN 'CONSTRAINT ' ELSE '' END||'TRIGGER '||quote_ident(t.tgname)||' ') + 1),
	'enabled', nullif(t.tgenabled, 'O'),
	'inherited', nullif(t.tgparentid <> 0, false))
	FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE NOT t.tgisinternal AND ` + shown("t.tgname") + ` AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid") + ` AND ` + notOfExtension("pg_trigger", "t.oid")
}

func readRules() string {
	return `SELECT 'rule', 'pg_rewrite', r.oid, 0, n.nspname, c.relname, r.rulename, 0, 0::bigint, jsonb_build_object(
	'definition', substr(pg_get_ruledef(r.oid), length('CREATE RULE '||quote_ident(r.rulename)||' ') + 1),
	'enabled', nullif(r.ev_enabled, 'O'))
	FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE r.rulename <> '_RETURN' AND ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid") + ` AND ` + notOfExtension("pg_rewrite", "r.oid")
}

func readPolicies() string {
	return `SELECT 'policy', 'pg_policy', p.oid, 0, n.nspname, c.relname, p.polname, 0, 0::bigint, jsonb_build_object(
	'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
	'restrictive', nullif(NOT p.polpermissive, false),
	'roles', (SELECT jsonb_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END ORDER BY pg_get_userbyid(r)) FROM unnest(p.polroles) r),
	'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
	FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_class", "c.oid") + ` AND ` + notOfExtension("pg_policy", "p.oid")
}
