package schema

func readTypes(version int) string {
	_ = version
	return `SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type' WHEN 'r' THEN 'range type' ELSE 'base type' END,
	'pg_type', t.oid, 0, n.nspname, t.typname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(t.typowner),
	'acl', coalesce(t.typacl, acldefault('T', t.typowner))::text[],
	'labels', CASE WHEN t.typtype = 'e' THEN coalesce((SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '[]') END,
	'label_ids', CASE WHEN t.typtype = 'e' THEN (SELECT jsonb_agg(e.oid::bigint ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END,
	'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
	'not_null', CASE WHEN t.typtype = 'd' THEN nullif(t.typnotnull, false) END,
	'default', CASE WHEN t.typtype = 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) END,
	'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> 0 AND t.typcollation <> bt.typcollation THEN (SELECT ` + qualified("cn.nspname", "co.collname") + `
		FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = t.typcollation) END,
	'subtype', CASE WHEN t.typtype = 'r' THEN format_type(r.rngsubtype, NULL) END,
	'subtype_opclass', CASE WHEN NOT oc.opcdefault THEN (SELECT ` + qualified("xn.nspname", "oc.opcname") + ` FROM pg_namespace xn WHERE xn.oid = oc.opcnamespace) END,
	'subtype_collation', CASE WHEN r.rngcollation <> 0 AND r.rngcollation <> (SELECT st.typcollation FROM pg_type st WHERE st.oid = r.rngsubtype) THEN r.rngcollation::regcollation::text END,
	'canonical', CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::text END,
	'subtype_diff', CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::text END,
	'multirange', CASE WHEN r.rngmultitypid <> 0 THEN (SELECT ` + qualified("mn.nspname", "mt.typname") + ` FROM pg_type mt JOIN pg_namespace mn ON mn.oid = mt.typnamespace WHERE mt.oid = r.rngmultitypid) END,
	'definition', CASE WHEN t.typtype IN ('b','p') THEN concat_ws(',', t.typinput, t.typoutput, t.typlen, t.typalign, t.typstorage, t.typcategory, t.typdefault, t.typisdefined) END)
	FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
	LEFT JOIN pg_type bt ON bt.oid = t.typbasetype
	LEFT JOIN pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_opclass oc ON oc.oid = r.rngsubopc
	LEFT JOIN pg_class c ON c.oid = t.typrelid
	WHERE t.typtype <> 'm' AND (t.typrelid = 0 OR c.relkind = 'c')
	AND NOT EXISTS (SELECT FROM pg_type el WHERE el.oid = t.typelem AND el.typarray = t.oid)
	AND ` + ofUsers + ` AND ` + notOfExtension("pg_type", "t.oid")
}

func readDomainConstraints() string {
	return `SELECT 'domain constraint', 'pg_constraint', k.oid, 0, n.nspname, t.typname, k.conname, 0, 0::bigint, jsonb_build_object('definition', pg_get_constraintdef(k.oid))
	FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
	WHERE k.contype = 'c' AND ` + ofUsers + ` AND ` + notOfExtension("pg_type", "t.oid")
}

func readCollations(version int) string {
	locale, rules := "c.colliculocale", "NULL::text"
	if version >= 160000 {
		rules = "c.collicurules"
	}
	if version >= 170000 {
		locale = "c.colllocale"
	}
	return `SELECT 'collation', 'pg_collation', c.oid, 0, n.nspname, c.collname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(c.collowner), 'provider', c.collprovider, 'collate', c.collcollate, 'ctype', c.collctype, 'locale', ` + locale + `,
	'nondeterministic', nullif(NOT c.collisdeterministic, false), 'rules', ` + rules + `)
	FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_collation", "c.oid")
}

func readConversions() string {
	return `SELECT 'conversion', 'pg_conversion', c.oid, 0, n.nspname, c.conname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(c.conowner),
	'definition', 'FOR '||quote_literal(pg_encoding_to_char(c.conforencoding))||' TO '||quote_literal(pg_encoding_to_char(c.contoencoding))||' FROM '||c.conproc::regproc::text,
	'default', nullif(c.condefault, false))
	FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_conversion", "c.oid")
}

// argumentTypes prints the types that tell namesakes apart.
const argumentTypes = `coalesce((SELECT string_agg(format_type(x, NULL), ', ' ORDER BY o) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY u(x, o)), '')`

func readRoutines() string {
	return `SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, 'pg_proc', p.oid, 0, n.nspname, p.proname, ` + argumentTypes + `, 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(p.proowner),
	'acl', coalesce(p.proacl, acldefault('f', p.proowner))::text[],
	'identity_arguments', pg_get_function_identity_arguments(p.oid),
	'arguments', pg_get_function_arguments(p.oid),
	'argument_names', to_jsonb(p.proargnames)::text,
	'all_arguments', concat_ws(' ', p.proargtypes::regtype[]::text, p.proallargtypes::regtype[]::text, p.proargmodes::text),
	'default_count', nullif(p.pronargdefaults, 0),
	'result', pg_get_function_result(p.oid),
	'language', l.lanname,
	'standard_body', nullif(p.prosqlbody IS NOT NULL, false),
	'definition', substr(pg_get_functiondef(p.oid), length('CREATE OR REPLACE '||CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END||quote_ident(n.nspname)||'.'||quote_ident(p.proname)) + 1))
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
	WHERE p.prokind <> 'a' AND ` + ofUsers + ` AND ` + notOfExtension("pg_proc", "p.oid") + ` AND ` + notMadeByServer("pg_proc", "p.oid")
}

func readAggregates() string {
	proc := func(column, word string) string {
		return `CASE WHEN a.` + column + ` <> 0 THEN ', ` + word + ` = '||a.` + column + `::text ELSE '' END`
	}
	return `SELECT 'aggregate', 'pg_proc', p.oid, 0, n.nspname, p.proname, ` + argumentTypes + `, 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(p.proowner),
	'acl', coalesce(p.proacl, acldefault('f', p.proowner))::text[],
	'identity_arguments', coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*'),
	'arguments', coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*'),
	'result', format_type(p.prorettype, NULL),
	'definition', 'SFUNC = '||a.aggtransfn::text||', STYPE = '||format_type(a.aggtranstype, NULL)
		|| CASE WHEN a.aggtransspace <> 0 THEN ', SSPACE = '||a.aggtransspace ELSE '' END
		|| coalesce(', INITCOND = '||quote_literal(a.agginitval), '')
		|| ` + proc("aggfinalfn", "FINALFUNC") + ` || CASE WHEN a.aggfinalextra THEN ', FINALFUNC_EXTRA' ELSE '' END
		|| CASE WHEN a.aggfinalfn <> 0 AND a.aggfinalmodify <> CASE WHEN a.aggkind = 'n' THEN 'r'::"char" ELSE 'w'::"char" END
			THEN ', FINALFUNC_MODIFY = '||CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END ELSE '' END
		|| ` + proc("aggcombinefn", "COMBINEFUNC") + ` || ` + proc("aggserialfn", "SERIALFUNC") + ` || ` + proc("aggdeserialfn", "DESERIALFUNC") + `
		|| ` + proc("aggmtransfn", "MSFUNC") + ` || ` + proc("aggminvtransfn", "MINVFUNC") + `
		|| CASE WHEN a.aggmtranstype <> 0 THEN ', MSTYPE = '||format_type(a.aggmtranstype, NULL) ELSE '' END
		|| CASE WHEN a.aggmtransspace <> 0 THEN ', MSSPACE = '||a.aggmtransspace ELSE '' END
		|| coalesce(', MINITCOND = '||quote_literal(a.aggminitval), '')
		|| ` + proc("aggmfinalfn", "MFINALFUNC") + ` || CASE WHEN a.aggmfinalextra THEN ', MFINALFUNC_EXTRA' ELSE '' END
		|| CASE WHEN a.aggmfinalfn <> 0 AND a.aggmfinalmodify <> CASE WHEN a.aggkind = 'n' THEN 'r'::"char" ELSE 'w'::"char" END
			THEN ', MFINALFUNC_MODIFY = '||CASE a.aggmfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END ELSE '' END
		|| CASE WHEN a.aggsortop <> 0 THEN ', SORTOP = OPERATOR('||(SELECT quote_ident(sn.nspname)||'.'||so.oprname FROM pg_operator so JOIN pg_namespace sn ON sn.oid = so.oprnamespace WHERE so.oid = a.aggsortop)||')' ELSE '' END
		|| CASE p.proparallel WHEN 's' THEN ', PARALLEL = SAFE' WHEN 'r' THEN ', PARALLEL = RESTRICTED' ELSE '' END
		|| CASE WHEN a.aggkind = 'h' THEN ', HYPOTHETICAL' ELSE '' END)
	FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_proc", "p.oid")
}

// operatorName prints OPERATOR(schema.name) for an oid column.
func operatorName(oid string) string {
	return `(SELECT 'OPERATOR('||quote_ident(xn.nspname)||'.'||xo.oprname||')' FROM pg_operator xo JOIN pg_namespace xn ON xn.oid = xo.oprnamespace WHERE xo.oid = ` + oid + `)`
}

func readOperators() string {
	return `SELECT 'operator', 'pg_operator', o.oid, 0, n.nspname, o.oprname,
	CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END||', '||CASE WHEN o.oprright = 0 THEN 'NONE' ELSE format_type(o.oprright, NULL) END, 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(o.oprowner),
	'function', o.oprcode::text, 'left', CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END, 'right', CASE WHEN o.oprright <> 0 THEN format_type(o.oprright, NULL) END,
	'commutator', ` + operatorName("o.oprcom") + `, 'negator', ` + operatorName("o.oprnegate") + `,
	'restrict', CASE WHEN o.oprrest <> 0 THEN o.oprrest::text END, 'join', CASE WHEN o.oprjoin <> 0 THEN o.oprjoin::text END,
	'hashes', nullif(o.oprcanhash, false), 'merges', nullif(o.oprcanmerge, false))
	FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE o.oprcode <> 0 AND ` + ofUsers + ` AND ` + notOfExtension("pg_operator", "o.oid")
}

// itemsOf prints the operators and functions that depend on an operator class or family in the given way.
func itemsOf(class, oid, deptype string) string {
	return `(SELECT jsonb_agg(item ORDER BY item) FROM (
	SELECT 'OPERATOR '||ao.amopstrategy||' '||(SELECT quote_ident(xn.nspname)||'.'||xo.oprname FROM pg_operator xo JOIN pg_namespace xn ON xn.oid = xo.oprnamespace WHERE xo.oid = ao.amopopr)
		||'('||format_type(ao.amoplefttype, NULL)||','||format_type(ao.amoprighttype, NULL)||')'
		||CASE WHEN ao.amopsortfamily <> 0 THEN ' FOR ORDER BY '||(SELECT quote_ident(fn.nspname)||'.'||quote_ident(ff.opfname) FROM pg_opfamily ff JOIN pg_namespace fn ON fn.oid = ff.opfnamespace WHERE ff.oid = ao.amopsortfamily) ELSE '' END AS item
	FROM pg_depend d JOIN pg_amop ao ON ao.oid = d.objid WHERE d.classid = 'pg_amop'::regclass AND d.refclassid = '` + class + `'::regclass AND d.refobjid = ` + oid + ` AND d.deptype = '` + deptype + `'
	UNION ALL
	SELECT 'FUNCTION '||ap.amprocnum||' ('||format_type(ap.amproclefttype, NULL)||','||format_type(ap.amprocrighttype, NULL)||') '||ap.amproc::regprocedure::text
	FROM pg_depend d JOIN pg_amproc ap ON ap.oid = d.objid WHERE d.classid = 'pg_amproc'::regclass AND d.refclassid = '` + class + `'::regclass AND d.refobjid = ` + oid + ` AND d.deptype = '` + deptype + `') items)`
}

func readOperatorFamilies() string {
	return `SELECT 'operator family', 'pg_opfamily', f.oid, 0, n.nspname, f.opfname, am.amname, 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(f.opfowner), 'items', ` + itemsOf("pg_opfamily", "f.oid", "a") + `)
	FROM pg_opfamily f JOIN pg_am am ON am.oid = f.opfmethod JOIN pg_namespace n ON n.oid = f.opfnamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_opfamily", "f.oid")
}

func readOperatorClasses() string {
	return `SELECT 'operator class', 'pg_opclass', c.oid, 0, n.nspname, c.opcname, am.amname, 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(c.opcowner), 'default', nullif(c.opcdefault, false), 'type', format_type(c.opcintype, NULL),
	'family', ` + qualified("fn.nspname", "f.opfname") + `,
	'storage', CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END,
	'items', ` + itemsOf("pg_opclass", "c.oid", "i") + `)
	FROM pg_opclass c JOIN pg_am am ON am.oid = c.opcmethod JOIN pg_namespace n ON n.oid = c.opcnamespace
	JOIN pg_opfamily f ON f.oid = c.opcfamily JOIN pg_namespace fn ON fn.oid = f.opfnamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_opclass", "c.oid")
}

func readCasts() string {
	return `SELECT 'cast', 'pg_cast', c.oid, 0, '', format_type(c.castsource, NULL)||' AS '||format_type(c.casttarget, NULL), '', 0, 0::bigint, jsonb_build_object(
	'definition', CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION '||c.castfunc::regprocedure::text WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END
		||CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END)
	FROM pg_cast c WHERE c.oid >= 16384 AND ` + notOfExtension("pg_cast", "c.oid") + ` AND ` + notMadeByServer("pg_cast", "c.oid")
}

func readTextSearch() string {
	return `SELECT 'text search parser', 'pg_ts_parser', p.oid, 0, n.nspname, p.prsname, '', 0, 0::bigint, jsonb_build_object(
	'definition', 'START = '||p.prsstart::text||', GETTOKEN = '||p.prstoken::text||', END = '||p.prsend::text||', LEXTYPES = '||p.prslextype::text
		||CASE WHEN p.prsheadline <> 0 THEN ', HEADLINE = '||p.prsheadline::text ELSE '' END)
	FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_ts_parser", "p.oid") + `
	UNION ALL SELECT 'text search template', 'pg_ts_template', p.oid, 0, n.nspname, p.tmplname, '', 0, 0::bigint, jsonb_build_object(
	'definition', CASE WHEN p.tmplinit <> 0 THEN 'INIT = '||p.tmplinit::text||', ' ELSE '' END||'LEXIZE = '||p.tmpllexize::text)
	FROM pg_ts_template p JOIN pg_namespace n ON n.oid = p.tmplnamespace WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_ts_template", "p.oid") + `
	UNION ALL SELECT 'text search dictionary', 'pg_ts_dict', p.oid, 0, n.nspname, p.dictname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(p.dictowner), 'template', ` + qualified("tn.nspname", "t.tmplname") + `, 'options', p.dictinitoption)
	FROM pg_ts_dict p JOIN pg_namespace n ON n.oid = p.dictnamespace JOIN pg_ts_template t ON t.oid = p.dicttemplate JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_ts_dict", "p.oid") + `
	UNION ALL SELECT 'text search configuration', 'pg_ts_config', p.oid, 0, n.nspname, p.cfgname, '', 0, 0::bigint, jsonb_build_object(
	'owner', pg_get_userbyid(p.cfgowner), 'parser', ` + qualified("tn.nspname", "t.prsname") + `,
	'mappings', (SELECT jsonb_object_agg(alias, dicts) FROM (SELECT tt.alias, jsonb_agg(m.mapdict::regdictionary::text ORDER BY m.mapseqno) AS dicts
		FROM pg_ts_config_map m JOIN ts_token_type(p.cfgparser) tt ON tt.tokid = m.maptokentype WHERE m.mapcfg = p.oid GROUP BY tt.alias) g))
	FROM pg_ts_config p JOIN pg_namespace n ON n.oid = p.cfgnamespace JOIN pg_ts_parser t ON t.oid = p.cfgparser JOIN pg_namespace tn ON tn.oid = t.prsnamespace
	WHERE ` + ofUsers + ` AND ` + notOfExtension("pg_ts_config", "p.oid")
}
