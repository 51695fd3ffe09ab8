package schema

// shown leaves out what the product itself keeps in a database under names without a schema.
func shown(name string) string { return ` ` + name + ` !~ '^` + HiddenPrefix + `' ` }

func readExtensions() string {
	return `SELECT 'extension', 'pg_extension', e.oid, 0, '', e.extname, '', 0, 0::bigint, jsonb_build_object('version', e.extversion, 'schema', n.nspname, 'relocatable', nullif(e.extrelocatable, false))
	FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace`
}

func readLanguages() string {
	return `SELECT 'language', 'pg_language', l.oid, 0, '', l.lanname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(l.lanowner), 'acl', coalesce(l.lanacl, acldefault('l', l.lanowner))::text[], 'trusted', nullif(l.lanpltrusted, false),
	'definition', 'HANDLER '||l.lanplcallfoid::regproc::text||CASE WHEN l.laninline <> 0 THEN ' INLINE '||l.laninline::regproc::text ELSE '' END||CASE WHEN l.lanvalidator <> 0 THEN ' VALIDATOR '||l.lanvalidator::regproc::text ELSE '' END)
	FROM pg_language l WHERE l.oid >= 16384 AND ` + notOfExtension("pg_language", "l.oid") + `
	UNION ALL SELECT 'access method', 'pg_am', a.oid, 0, '', a.amname, '', 0, 0::bigint, jsonb_build_object('type', a.amtype, 'handler', a.amhandler::text)
	FROM pg_am a WHERE a.oid >= 16384 AND ` + notOfExtension("pg_am", "a.oid") + `
	UNION ALL SELECT 'transform', 'pg_transform', t.oid, 0, '', format_type(t.trftype, NULL)||' LANGUAGE '||quote_ident(l.lanname), '', 0, 0::bigint, jsonb_build_object(
	'definition', concat_ws(', ', CASE WHEN t.trffromsql <> 0 THEN 'FROM SQL WITH FUNCTION '||t.trffromsql::regprocedure::text END, CASE WHEN t.trftosql <> 0 THEN 'TO SQL WITH FUNCTION '||t.trftosql::regprocedure::text END))
	FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE t.oid >= 16384 AND ` + notOfExtension("pg_transform", "t.oid")
}

func readForeign() string {
	return `SELECT 'foreign data wrapper', 'pg_foreign_data_wrapper', f.oid, 0, '', f.fdwname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(f.fdwowner), 'acl', coalesce(f.fdwacl, acldefault('F', f.fdwowner))::text[],
	'handler', CASE WHEN f.fdwhandler <> 0 THEN f.fdwhandler::regproc::text END, 'validator', CASE WHEN f.fdwvalidator <> 0 THEN f.fdwvalidator::regproc::text END,
	'fdw_options', ` + sorted("f.fdwoptions") + `) FROM pg_foreign_data_wrapper f WHERE ` + notOfExtension("pg_foreign_data_wrapper", "f.oid") + `
	UNION ALL SELECT 'server', 'pg_foreign_server', s.oid, 0, '', s.srvname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(s.srvowner), 'acl', coalesce(s.srvacl, acldefault('S', s.srvowner))::text[], 'type', s.srvtype, 'version', s.srvversion,
	'wrapper', f.fdwname, 'fdw_options', ` + sorted("s.srvoptions") + `)
	FROM pg_foreign_server s JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw WHERE ` + notOfExtension("pg_foreign_server", "s.oid") + ` AND ` + shown("s.srvname") + `
	UNION ALL SELECT 'user mapping', 'pg_user_mapping', u.oid, 0, '', s.srvname, CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(u.umuser) END, 0, 0::bigint, jsonb_build_object(
	'option_names', (SELECT jsonb_agg(split_part(x, '=', 1) ORDER BY x) FROM unnest(u.umoptions) x))
	FROM pg_user_mapping u JOIN pg_foreign_server s ON s.oid = u.umserver WHERE ` + shown("s.srvname")
}

func readEventTriggers() string {
	return `SELECT 'event trigger', 'pg_event_trigger', e.oid, 0, '', e.evtname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(e.evtowner), 'event', e.evtevent, 'tags', ` + sorted("e.evttags") + `, 'function', e.evtfoid::regproc::text, 'enabled', nullif(e.evtenabled, 'O'))
	FROM pg_event_trigger e WHERE ` + notOfExtension("pg_event_trigger", "e.oid") + ` AND ` + shown("e.evtname")
}

func readPublications(version int) string {
	generated := "NULL::text"
	if version >= 180000 {
		generated = "nullif(p.pubgencols::text, 'n')"
	}
	return `SELECT 'publication', 'pg_publication', p.oid, 0, '', p.pubname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(p.pubowner), 'all_tables', nullif(p.puballtables, false), 'via_root', nullif(p.pubviaroot, false), 'generated', ` + generated + `,
	'publish', concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END))
	FROM pg_publication p WHERE ` + shown("p.pubname") + `
	UNION ALL SELECT 'publication table', 'pg_publication_rel', r.oid, 0, n.nspname, c.relname, p.pubname, 0, 0::bigint, jsonb_build_object(
	'where', pg_get_expr(r.prqual, r.prrelid),
	'columns_of', (SELECT jsonb_agg(a.attname ORDER BY a.attname) FROM unnest(r.prattrs::int2[]) k JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = k))
	FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE ` + shown("p.pubname") + `
	UNION ALL SELECT 'publication schema', 'pg_publication_namespace', r.oid, 0, '', n.nspname, p.pubname, 0, 0::bigint, '{}'::jsonb
	FROM pg_publication_namespace r JOIN pg_publication p ON p.oid = r.pnpubid JOIN pg_namespace n ON n.oid = r.pnnspid WHERE ` + shown("p.pubname")
}

const readSubscriptions = `SELECT 'subscription', 'pg_subscription', s.oid, 0, '', s.subname, '', 0, 0::bigint, jsonb_build_object('publications', ` +
	`(SELECT jsonb_agg(x ORDER BY x) FROM unnest(s.subpublications) x)) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()`

const readDefaultACLs = `SELECT 'default privileges', 'pg_default_acl', d.oid, 0, coalesce(n.nspname, ''), pg_get_userbyid(d.defaclrole), d.defaclobjtype::text, 0, 0::bigint, jsonb_build_object(
	'acl', d.defaclacl::text[],
	'initial', CASE WHEN d.defaclnamespace = 0 THEN acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)::text[] END)
	FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace`

const readSettings = `SELECT 'database setting', 'pg_db_role_setting', s.setrole, 0, '', split_part(x, '=', 1), CASE WHEN s.setrole = 0 THEN '' ELSE pg_get_userbyid(s.setrole) END, 0, 0::bigint,
	jsonb_build_object('value', substr(x, strpos(x, '=') + 1))
	FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database(), unnest(s.setconfig) x`

// readMembers reads privileges that were changed on what an extension brought; the thing itself comes with the extension.
const readMembers = `SELECT 'extension member', m.class, m.oid, m.sub, m.schema, m.name, m.part, 0, 0::bigint,
	jsonb_build_object('acl', m.acl, 'initial', m.initial, 'target', m.target) FROM (
	SELECT 'pg_proc' AS class, p.oid, 0 AS sub, n.nspname AS schema, p.proname AS name, ` + argumentTypes + ` AS part,
		coalesce(p.proacl, acldefault('f', p.proowner))::text[] AS acl, coalesce(i.initprivs, acldefault('f', p.proowner))::text[] AS initial,
		CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END||quote_ident(n.nspname)||'.'||quote_ident(p.proname)||'('||pg_get_function_identity_arguments(p.oid)||')' AS target
	FROM pg_depend e JOIN pg_proc p ON p.oid = e.objid JOIN pg_namespace n ON n.oid = p.pronamespace
	LEFT JOIN pg_init_privs i ON i.classoid = e.classid AND i.objoid = p.oid AND i.objsubid = 0
	WHERE e.classid = 'pg_proc'::regclass AND e.deptype = 'e' AND p.proacl IS NOT NULL
	UNION ALL
	SELECT 'pg_class', c.oid, 0, n.nspname, c.relname, '',
		coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))::text[],
		coalesce(i.initprivs, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))::text[],
		CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END||quote_ident(n.nspname)||'.'||quote_ident(c.relname)
	FROM pg_depend e JOIN pg_class c ON c.oid = e.objid AND c.relkind IN ('r','p','v','m','f','S') JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_init_privs i ON i.classoid = e.classid AND i.objoid = c.oid AND i.objsubid = 0
	WHERE e.classid = 'pg_class'::regclass AND e.deptype = 'e' AND c.relacl IS NOT NULL) m
	WHERE m.acl IS DISTINCT FROM m.initial AND m.schema !~ '^pg_'`
