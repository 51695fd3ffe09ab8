package schema

import (
	"slices"
	"strings"
)

// alterTable looks at each action of an ALTER TABLE.
func (l *linter) alterTable() {
	table, i := nameAt(l.words, skipWords(l.words, 2, "IF", "EXISTS", "ONLY"))
	if l.isFresh(table) {
		return
	}
	list := slices.Concat([]token{{tokenPunct, "("}}, l.words[min(i, len(l.words)):], []token{{tokenPunct, ")"}})
	actions, _ := splitList(list, 0)
	for _, a := range actions {
		l.action(table, a)
	}
}

func (l *linter) action(table string, a []token) {
	switch {
	case startsWith(a, "ADD", "CONSTRAINT"), startsWith(a, "ADD", "PRIMARY"), startsWith(a, "ADD", "UNIQUE"), startsWith(a, "ADD", "FOREIGN"), startsWith(a, "ADD", "CHECK"), startsWith(a, "ADD", "EXCLUDE"):
		l.addConstraint(table, a)
	case startsWith(a, "ADD"):
		l.addColumn(table, a)
	case startsWith(a, "DROP", "CONSTRAINT"):
		l.strong(table, AccessExclusive)
	case startsWith(a, "DROP"):
		column, _ := nameAt(a, skipWords(a, 1, "COLUMN", "IF", "EXISTS"))
		l.strong(table, AccessExclusive)
		l.add(Lossy, AccessExclusive, "the values of "+table+"."+column+" are gone", "take it out of the application first, and keep a copy")
		l.add(Breaking, AccessExclusive, "statements that name "+table+"."+column+" fail, and so do prepared SELECT *", "take it out of the application first")
	case startsWith(a, "ALTER"):
		l.alterColumn(table, a)
	case startsWith(a, "RENAME", "CONSTRAINT"):
		l.strong(table, AccessExclusive)
	case startsWith(a, "RENAME"), startsWith(a, "SET", "SCHEMA"):
		l.strong(table, AccessExclusive)
		l.add(Breaking, AccessExclusive, "statements that use the old name fail", "expand and contract: the new beside the old, both kept alike, until nothing uses the old")
	case startsWith(a, "VALIDATE", "CONSTRAINT"):
		name, _ := nameAt(a, 2)
		if l.inside && slices.Contains(l.pending, table+"."+name) {
			l.add(Locking, AccessExclusive, "the rows are checked while the transaction still holds the lock under which the constraint was added", "two migrations: NOT VALID in the first, VALIDATE in the second")
		}
	case startsWith(a, "SET", "LOGGED"), startsWith(a, "SET", "UNLOGGED"), startsWith(a, "SET", "TABLESPACE"), startsWith(a, "SET", "ACCESS"):
		l.strong(table, AccessExclusive)
		l.add(Rewrites, AccessExclusive, "the whole table is written again while everybody waits", "")
	case startsWith(a, "ENABLE", "ROW"), startsWith(a, "FORCE", "ROW"):
		l.strong(table, AccessExclusive)
		l.add(Breaking, AccessExclusive, "rows that no policy allows become invisible", "create the policies first, in the same transaction")
	case startsWith(a, "DISABLE", "TRIGGER"), startsWith(a, "ENABLE", "TRIGGER"):
		l.strong(table, ShareRowExclusive)
		l.add(Breaking, ShareRowExclusive, "writes do something else than before", "")
	case startsWith(a, "ATTACH", "PARTITION"):
		l.add(Locking, AccessExclusive, "the partition's rows are read under its lock unless a CHECK of the same bounds proves them", "add such a CHECK NOT VALID, validate it, attach, and drop it")
	case startsWith(a, "DETACH", "PARTITION") && after(a, "CONCURRENTLY") < 0:
		l.strong(table, AccessExclusive)
		l.add(Breaking, AccessExclusive, "queries of "+table+" do not see the partition's rows any more", "DETACH PARTITION ... CONCURRENTLY, outside a transaction, waits for nobody")
	}
}

func (l *linter) addConstraint(table string, a []token) {
	name := ""
	if startsWith(a, "ADD", "CONSTRAINT") {
		name, _ = nameAt(a, 2)
	}
	unchecked := after(a, "NOT", "VALID") >= 0
	if unchecked && l.inside {
		l.pending = append(l.pending, table+"."+name)
	}
	switch {
	case after(a, "USING", "INDEX") >= 0 && after(a, "USING", "INDEX", "TABLESPACE") < 0:
		l.strong(table, AccessExclusive)
	case after(a, "FOREIGN", "KEY") >= 0:
		l.strong(table, ShareRowExclusive)
		if !unchecked {
			l.add(Locking, ShareRowExclusive, "every row is looked up while nobody can write to either table", "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own")
			l.add(DataBlocks, ShareRowExclusive, "rows without a partner make it fail", "look for them first")
		}
	case after(a, "CHECK") >= 0 && after(a, "EXCLUDE") < 0:
		l.strong(table, AccessExclusive)
		if !unchecked {
			l.add(Locking, AccessExclusive, "every row is checked while everybody waits", "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own")
			l.add(DataBlocks, AccessExclusive, "rows that break it make it fail", "look for them first")
		}
	default:
		l.strong(table, AccessExclusive)
		better := "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX"
		if after(a, "EXCLUDE") >= 0 {
			better = "a maintenance window: an exclusion constraint cannot be built beside its users"
		}
		l.add(Locking, AccessExclusive, "its index is built while everybody waits", better)
		l.add(DataBlocks, AccessExclusive, "two rows with the same key make it fail", "look for them first")
	}
}

func (l *linter) addColumn(table string, a []token) {
	column, i := nameAt(a, skipWords(a, 1, "COLUMN", "IF", "NOT", "EXISTS"))
	rest := a[min(i, len(a)):]
	l.strong(table, AccessExclusive)
	value := after(rest, "DEFAULT")
	serial := len(rest) > 0 && slices.ContainsFunc([]string{"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"}, func(n string) bool { return rest[0].name() == n })
	computed := after(rest, "GENERATED") >= 0
	switch {
	case serial, computed && after(rest, "VIRTUAL") < 0, value >= 0 && after(rest, "GENERATED") < 0 && !constantDefault(&Object{Attrs: map[string]string{"expression": defaultOf(rest, value)}}):
		l.add(Rewrites, AccessExclusive, "every row gets a value of its own: the whole table is written again while everybody waits", "add it without, set the default for new rows, and fill the old ones in batches")
	case after(rest, "NOT", "NULL") >= 0 && value < 0 && !computed:
		l.add(DataBlocks, AccessExclusive, "rows that exist have no value for "+column+": it fails unless the table is empty", "give it a default, or add it without NOT NULL and fill it first")
		l.add(Breaking, AccessExclusive, "inserts that do not name "+column+" fail", "")
	}
	if after(rest, "REFERENCES") >= 0 || after(rest, "UNIQUE") >= 0 || after(rest, "PRIMARY", "KEY") >= 0 || after(rest, "CHECK") >= 0 {
		l.add(Locking, AccessExclusive, "the constraint is checked, and its index built, within the same statement", "add the column first and the constraint by itself")
	}
}

// defaultOf is the default's expression, up to the next clause of the column.
func defaultOf(rest []token, from int) string {
	depth := 0
	for i := from; i < len(rest); i++ {
		t := rest[i]
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && i > from && (t.is("NOT") || t.is("NULL") || t.is("CONSTRAINT") || t.is("CHECK") || t.is("REFERENCES") || t.is("UNIQUE") || t.is("PRIMARY") || t.is("COLLATE")):
			return squeezeWords(rest[from:i])
		}
	}
	return squeezeWords(rest[from:])
}

func (l *linter) alterColumn(table string, a []token) {
	column, i := nameAt(a, skipWords(a, 1, "COLUMN"))
	rest := a[min(i, len(a)):]
	name := table + "." + column
	switch {
	case startsWith(rest, "TYPE"), startsWith(rest, "SET", "DATA", "TYPE"):
		l.strong(table, AccessExclusive)
		l.add(Rewrites, AccessExclusive, "unless the new type only lifts a limit (varchar to text, a wider numeric), the whole table and its indexes are written again while everybody waits",
			"a new column, a trigger that keeps both alike, a fill in batches, and the switch at the end")
		if strings.Contains(strings.ToUpper(squeezeWords(rest)), "USING") {
			l.add(Lossy, AccessExclusive, "USING can change or cut values of "+name, "compare them before")
		}
	case startsWith(rest, "SET", "NOT", "NULL"):
		l.strong(table, AccessExclusive)
		l.add(Locking, AccessExclusive, "every row of "+table+" is read while everybody waits", "ADD CONSTRAINT ... CHECK ("+column+" IS NOT NULL) NOT VALID, VALIDATE it, SET NOT NULL, and drop the check")
		l.add(DataBlocks, AccessExclusive, "rows without a value make it fail", "fill them first")
	case startsWith(rest, "DROP", "DEFAULT"):
		l.strong(table, AccessExclusive)
		l.add(Breaking, AccessExclusive, "inserts that leave "+name+" out get no value", "")
	case startsWith(rest, "DROP", "IDENTITY"), startsWith(rest, "DROP", "EXPRESSION"):
		l.strong(table, AccessExclusive)
		l.add(Breaking, AccessExclusive, "nothing gives "+name+" its value any more", "")
	default:
		l.strong(table, AccessExclusive)
	}
}
