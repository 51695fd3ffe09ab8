package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Expand and contract carries renames and type changes of columns while code for the old and for the new structure runs side by side:
//
//	1. Expansion.Plan   adds the new column beside the old one and a trigger that keeps them alike
//	2. Backfills        give the rows that were there before their values, batch by batch
//	3. Expansion.Build  builds the indexes of the new column while clients go on
//	4. Switch           changes names where the column keeps its name, and everything else that the publish brings; the old column stays
//	5. Contract         removes the trigger and the old column, once no old code runs any more
//
// A renamed column exists under both names until the contraction, and either may be written. A column that only changes its type
// changes it at the switch, in one short transaction.

// Expansion is what expand and contract does for the columns of one publish. It is plain data and can be kept between its phases.
type Expansion struct {
	Columns   []ExpandedColumn `json:"columns"`
	Plan      *Plan            `json:"plan"`
	Backfills []Backfill       `json:"backfills"`
	Build     []Statement      `json:"build"`
	// Ordinary says why other renames and type changes are carried in the ordinary way.
	Ordinary []string `json:"ordinary,omitempty"`
	// Undo are answers for Revert: the values live on in the new columns.
	Undo map[string]string `json:"undo,omitempty"`
}

// ExpandedColumn is a column that exists twice for a while.
type ExpandedColumn struct {
	Table  Address `json:"table"`  // in production now
	Target Address `json:"target"` // in development
	Old    string  `json:"old"`    // its name for old code
	New    string  `json:"new"`    // and for new code
	Fresh  string  `json:"fresh"`  // the new column until the switch
	Kept   string  `json:"kept"`   // the old column after it
	// Forward and Back are expressions over the table's columns that convert a value, under the names before the switch.
	OldType string   `json:"old_type"`
	NewType string   `json:"new_type"`
	Forward string   `json:"forward"`
	Back    string   `json:"back"`
	Indexes []string `json:"indexes,omitempty"` // names of development's indexes over the new column
}

// renamed says whether old and new code know the column by different names.
func (e ExpandedColumn) renamed() bool { return e.Old != e.New }

// syncName is the name of the trigger, and of its function, that keeps the two columns alike.
func (e ExpandedColumn) syncName() string {
	return shorten(HiddenPrefix + "_sync_" + e.Table.Name + "_" + e.Old)
}

// Expand looks for renames and type changes of columns that would break running code or write a table of at least minBytes again, and
// plans to carry them by expanding. Without any, Columns is empty and the ordinary plan is the way.
func Expand(in Input, minBytes int64) (*Expansion, error) {
	c, from, to := in.compare()
	p := newPlanner(from, to, in.Options, c.plan)
	p.classify()
	e := &Expansion{Plan: &Plan{From: in.Production.Fingerprint()}, Undo: map[string]string{}}
	names := map[Address]Address{} // columns: after the renames to before
	for _, r := range c.plan.Renames {
		if r.From.Kind == KindColumn && r.Label == "" {
			names[r.To] = r.From
		}
	}
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		was, renamed := names[a]
		if a.Kind != KindColumn || !o.exists() || !renamed && !(p.retyped(a, o) && rewrites(o.from, o.to)) {
			continue
		}
		if p.relationOf(a).Kind != KindTable && !renamed {
			continue // a view follows its table
		}
		old := a.Sub
		if renamed {
			old = was.Sub
		}
		x, reason := p.expandable(in.Production, a, o, old)
		if reason == "" && in.Production.Objects[x.Table].Bytes < minBytes {
			reason = "its table is small"
		}
		if reason != "" {
			e.Ordinary = append(e.Ordinary, fmt.Sprintf("%s: %s", a, reason))
			continue
		}
		e.Columns = append(e.Columns, x)
		if renamed {
			e.Undo["rename:"+x.Target.Label()+"."+x.New] = x.Old
		}
		e.expand(in, x)
	}
	e.Plan.Statements = slices.Insert(e.Plan.Statements, 0, statement(Address{Kind: KindSchema, Name: TombstoneSchema}, "make the place for what keeps columns alike", "CREATE SCHEMA IF NOT EXISTS "+quote(TombstoneSchema)))
	groupStatements(e.Plan)
	return e, nil
}

// expandable describes how a column would be expanded, or says why it cannot be.
func (p *planner) expandable(production *Catalog, a Address, o *op, old string) (ExpandedColumn, string) {
	target := p.relationOf(a)
	x := ExpandedColumn{Target: target, Old: old, New: a.Sub, Fresh: a.Sub, Kept: old, OldType: o.from.attr("type"), NewType: o.to.attr("type")}
	for t, n := range production.Objects {
		if t.Kind == KindTable && n.ID == p.from.Objects[target].ID {
			x.Table = t
		}
	}
	if !x.renamed() {
		x.Fresh, x.Kept = shorten(HiddenPrefix+"_new_"+old), shorten(HiddenPrefix+"_old_"+old)
	}
	key := p.keyOf(target)
	switch {
	case target.Kind != KindTable || x.Table == (Address{}):
		return x, "it is no column of a plain table"
	case p.from.Objects[target].attr("partition_key") != "" || len(parentsOf(p.from, p.parts[false][[2]string{a.Schema, a.Name}])) > 0 || p.hasHeirs(target):
		return x, "its table has partitions or heirs"
	case o.from.attr("generated") != "" || o.to.attr("generated") != "" || o.from.attr("identity") != "" || o.to.attr("identity") != "":
		return x, "the server gives it its values"
	case len(key) == 0:
		return x, "its table has no primary key by which batches could be cut"
	case production.Objects[Address{KindColumn, x.Table.Schema, x.Table.Name, x.Fresh}] != nil:
		return x, "production has a column of the new name already"
	case o.retype:
		return x, "its type is made anew"
	}
	for _, side := range []bool{false, true} {
		for _, k := range p.partsIn(side, target, KindConstraint) {
			if k.attr("index") != "" && slices.Contains(k.list("columns"), a.Sub) {
				return x, "the constraint " + k.Sub + " is built on it"
			}
		}
	}
	x.Forward = convertedOr(p, o.from, o.to, quote(x.Old))
	back := &planner{opts: p.opts, from: p.to, to: p.from, ops: p.ops, parts: map[bool]map[[2]string][]*Object{false: p.parts[true], true: p.parts[false]}}
	x.Back = convertedOr(back, o.to, o.from, quote(x.Fresh))
	if using := p.opts.chosen("using", a); using != "" {
		x.Forward = using
	}
	for _, i := range p.indexes[true][[2]string{target.Schema, target.Name}] {
		if slices.Contains(i.Deps, a) {
			x.Indexes = append(x.Indexes, i.Name)
		}
	}
	return x, ""
}

// convertedOr is the conversion of an expression, written out even where the server would convert by itself.
func convertedOr(p *planner, from, to *Object, c string) string {
	if from.attr("type") == to.attr("type") {
		return c
	}
	if using, _ := p.converted(c, from, to, false); using != "" {
		return using
	}
	return c + "::" + to.attr("type")
}

// expand adds the statements of the first three phases for one column.
func (e *Expansion) expand(in Input, x ExpandedColumn) {
	column := Address{KindColumn, x.Table.Schema, x.Table.Name, x.Fresh}
	collation := ""
	if o := in.Development.Objects[Address{KindColumn, x.Target.Schema, x.Target.Name, x.New}]; o != nil {
		collation = collateClause(o)
	}
	add := func(description, sql string, lock LockMode) {
		e.Plan.Statements = append(e.Plan.Statements, statement(column, description, sql).locking(lock, x.Table))
	}
	add("add "+column.String()+" beside "+x.Old, "ALTER TABLE "+column.tableName()+" ADD COLUMN "+quote(x.Fresh)+" "+x.NewType+collation, AccessExclusive)
	e.Plan.Statements = append(e.Plan.Statements, x.syncFunction(true))
	add("keep "+x.Old+" and "+x.Fresh+" alike", "CREATE TRIGGER "+quote(x.syncName())+" BEFORE INSERT OR UPDATE ON "+column.tableName()+
		" FOR EACH ROW EXECUTE FUNCTION "+qualify(TombstoneSchema, x.syncName())+"()", ShareRowExclusive)
	backfill := Backfill{Table: x.Table, Column: x.Fresh, Expression: x.Forward, Batch: 5000}
	for _, k := range in.Production.Objects {
		if k.Kind == KindConstraint && k.Schema == x.Table.Schema && k.Name == x.Table.Name && k.attr("type") == "p" {
			backfill.Key = k.list("columns")
		}
	}
	for _, k := range backfill.Key {
		backfill.KeyTypes = append(backfill.KeyTypes, in.Production.Objects[Address{KindColumn, x.Table.Schema, x.Table.Name, k}].attr("type"))
	}
	e.Backfills = append(e.Backfills, backfill)
	m := newMapping(in.Development, map[Address]Address{x.Target: x.Table, {KindColumn, x.Target.Schema, x.Target.Name, x.New}: column}, nil)
	for _, name := range x.Indexes {
		i := in.Development.Objects[Address{Kind: KindIndex, Schema: x.Target.Schema, Name: name}]
		unique := ""
		if i.is("unique") {
			unique = "UNIQUE "
		}
		built := freshIndex(name)
		e.Build = append(e.Build, statement(i.Address, "build "+i.String()+" over the new column while clients go on",
			"CREATE "+unique+"INDEX CONCURRENTLY "+quote(built)+" "+m.text(i, i.attr("definition"), false)).locking(ShareUpdateExclusive, x.Table).scanning().
			alone("DROP INDEX CONCURRENTLY IF EXISTS "+qualify(x.Table.Schema, built)))
	}
}

func freshIndex(name string) string { return shorten(HiddenPrefix + "_new_" + name) }
func keptIndex(name string) string  { return shorten(HiddenPrefix + "_old_" + name) }

// syncFunction keeps the two columns alike. Under both names, what the statement wrote wins; a column that only changes its type is
// written under one name, and the other follows. A value that the old type cannot hold is left out there.
func (x ExpandedColumn) syncFunction(before bool) Statement {
	fresh, kept := quote(x.Fresh), quote(x.Old)
	forward, back := x.Forward, x.Back
	if !before && !x.renamed() {
		fresh, kept = quote(x.New), quote(x.Kept)
		back = replaceName(back, x.Fresh, x.New)
	}
	set := func(column, expression string) string {
		return "NEW." + column + " := (SELECT " + expression + " FROM (SELECT NEW.*) AS r);"
	}
	toFresh, toKept := set(fresh, forward), set(kept, back)
	if x.OldType != x.NewType {
		toKept = "BEGIN " + toKept + " EXCEPTION WHEN OTHERS THEN NEW." + kept + " := NULL; END;"
	}
	body := "BEGIN IF TG_OP = 'INSERT' THEN IF NEW." + fresh + " IS NOT NULL THEN " + toKept + " ELSE " + toFresh + " END IF; " +
		"ELSIF NEW." + fresh + " IS DISTINCT FROM OLD." + fresh + " THEN " + toKept + " ELSIF NEW." + kept + " IS DISTINCT FROM OLD." + kept + " THEN " + toFresh + " END IF; RETURN NEW; END"
	switch {
	case x.renamed():
	case before:
		body = "BEGIN " + toFresh + " RETURN NEW; END"
	default:
		body = "BEGIN " + toKept + " RETURN NEW; END"
	}
	return statement(Address{Kind: KindFunction, Schema: TombstoneSchema, Name: x.syncName()}, "what keeps "+x.Table.Label()+"."+x.Old+" and the new column alike",
		"CREATE OR REPLACE FUNCTION "+qualify(TombstoneSchema, x.syncName())+"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS "+literal(body))
}

// replaceName writes another name for a column into an expression.
func replaceName(expression, old, new string) string {
	tokens := tokenize(expression)
	for i, t := range tokens {
		if t.name() == old {
			tokens[i].text = quote(new)
		}
	}
	return joinTokens(tokens)
}

// Stop are the statements that end the keeping alike: before a contraction, or to give up an expansion. They may run twice.
func (e *Expansion) Stop() []Statement {
	var out []Statement
	for _, x := range e.Columns {
		for _, t := range []Address{x.Table, x.Target} {
			out = append(out, statement(t, "stop keeping "+x.Old+" and the new column alike",
				"DO $do$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgname = "+literal(x.syncName())+" AND tgrelid = pg_catalog.to_regclass("+literal(t.tableName())+")) THEN "+
					"DROP TRIGGER "+quote(x.syncName())+" ON "+t.tableName()+"; END IF; END $do$").locking(AccessExclusive, t))
		}
		out = append(out, statement(Address{Kind: KindFunction, Schema: TombstoneSchema, Name: x.syncName()}, "remove what kept them alike", "DROP FUNCTION IF EXISTS "+qualify(TombstoneSchema, x.syncName())+"()"))
	}
	return out
}

// Abandon are the statements that take the first three phases back, before the switch.
func (e *Expansion) Abandon() []Statement {
	out := e.Stop()
	for _, x := range e.Columns {
		out = append(out, statement(x.Table, "remove the new column "+x.Fresh, "ALTER TABLE "+x.Table.tableName()+" DROP COLUMN IF EXISTS "+quote(x.Fresh)).locking(AccessExclusive, x.Table))
	}
	return out
}

// answers leaves out those that rename an expanded column: the switch carries it.
func (e *Expansion) answers(all map[string]string) map[string]string {
	out := union(all, nil)
	for _, x := range e.Columns {
		for _, label := range labelsOf(Address{KindColumn, x.Table.Schema, x.Table.Name, x.Old}) {
			delete(out, "rename:"+label)
			delete(out, "using:"+label)
		}
		for _, label := range labelsOf(Address{KindColumn, x.Target.Schema, x.Target.Name, x.New}) {
			delete(out, "using:"+label)
		}
	}
	return out
}

func helperObject(name string) bool { return strings.HasPrefix(name, HiddenPrefix) }
