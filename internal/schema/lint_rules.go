package schema

import "strings"

func (l *linter) create() {
	for i, w := range l.words[:min(len(l.words), 5)] {
		switch {
		case w.is("TABLE") && l.has("CREATE", "EVENT") < 0:
			name, _ := nameAt(l.words, skipWords(l.words, i+1, "IF", "NOT", "EXISTS"))
			l.fresh[name] = true
			return
		case w.is("INDEX"):
			l.createIndex(i)
			return
		case w.is("TRIGGER") && !l.words[i-1].is("EVENT"):
			on := l.has("ON")
			if table, _ := nameAt(l.words, on); on >= 0 && !l.isFresh(table) {
				l.strong(table, ShareRowExclusive)
				l.add(Breaking, ShareRowExclusive, "writes to "+table+" do more than they did", "")
			}
			return
		case w.is("RULE"):
			l.add(Breaking, AccessExclusive, "statements on the table do something else", "a trigger")
			return
		}
	}
}

func (l *linter) createIndex(i int) {
	on := l.has("ON")
	table, _ := nameAt(l.words, skipWords(l.words, max(on, 0), "ONLY"))
	if on < 0 || l.isFresh(table) {
		return
	}
	unique := l.words[1].is("UNIQUE")
	if i+1 < len(l.words) && l.words[i+1].is("CONCURRENTLY") {
		if l.inside {
			l.add(Refused, NoLock, "CREATE INDEX CONCURRENTLY cannot run inside a transaction", "run it outside (goose: -- +goose NO TRANSACTION; Rails: disable_ddl_transaction!)")
		}
		if unique {
			l.add(DataBlocks, ShareUpdateExclusive, "two rows with the same key make it fail and leave an invalid index behind", "look for such rows first; after a failure DROP INDEX CONCURRENTLY")
		}
		return
	}
	l.strong(table, Share)
	l.add(Locking, Share, "nobody can write to "+table+" while the index is built", "CREATE INDEX CONCURRENTLY, outside a transaction")
	if unique {
		l.add(DataBlocks, Share, "two rows with the same key make it fail", "look for such rows first")
	}
}

func (l *linter) drop() {
	cascade := ""
	if l.has("CASCADE") >= 0 {
		cascade = "; CASCADE takes along what nobody named"
	}
	switch {
	case l.is("DROP", "INDEX"):
		if l.is("DROP", "INDEX", "CONCURRENTLY") {
			if l.inside {
				l.add(Refused, NoLock, "DROP INDEX CONCURRENTLY cannot run inside a transaction", "run it outside")
			}
			return
		}
		l.strong("the index's table", AccessExclusive)
		l.add(Locking, AccessExclusive, "it waits for everybody who uses the table, and everybody waits for it", "DROP INDEX CONCURRENTLY, outside a transaction")
	case l.is("DROP", "TABLE"), l.is("TRUNCATE"):
		i := skipWords(l.words, 1, "TABLE", "IF", "EXISTS", "ONLY")
		table, _ := nameAt(l.words, i)
		if l.isFresh(table) {
			return
		}
		l.strong(table, AccessExclusive)
		l.add(Lossy, AccessExclusive, "the rows of "+table+" are gone"+cascade, "rename it, wait until nothing misses it, and drop it later")
		if l.is("DROP") {
			l.add(Breaking, AccessExclusive, "statements that name "+table+" fail", "take it out of the application first")
		}
	case l.is("DROP", "SCHEMA"), l.is("DROP", "DATABASE"), l.is("DROP", "OWNED"):
		l.add(Lossy, AccessExclusive, "everything in it is gone"+cascade, "drop what is meant, by name")
	case l.is("DROP", "SEQUENCE"):
		l.add(Breaking, AccessExclusive, "where it had counted to is gone, and what takes numbers from it fails", "")
	case l.is("DROP", "VIEW"), l.is("DROP", "MATERIALIZED"), l.is("DROP", "FUNCTION"), l.is("DROP", "PROCEDURE"), l.is("DROP", "TYPE"), l.is("DROP", "DOMAIN"), l.is("DROP", "EXTENSION"):
		class := Breaking
		if cascade != "" && (l.is("DROP", "TYPE") || l.is("DROP", "DOMAIN") || l.is("DROP", "EXTENSION")) {
			class = Lossy
			cascade += ", columns of its types with their values included"
		}
		l.add(class, AccessExclusive, "statements that use it fail"+cascade, "take it out of the application first; to change it, CREATE OR REPLACE")
	}
}

// alter looks at everything but tables.
func (l *linter) alter() {
	switch {
	case l.is("ALTER", "TYPE") && l.has("ADD", "VALUE") >= 0:
		if l.inside {
			l.add(Refused, NoLock, "a new value of an enum cannot be used before the transaction that adds it has ended", "add values in a migration of their own")
		}
	case l.is("ALTER", "TYPE") && (l.has("ALTER", "ATTRIBUTE") >= 0 || l.has("DROP", "ATTRIBUTE") >= 0):
		l.add(Breaking, AccessExclusive, "statements that use the attribute fail", "")
	case l.is("ALTER", "DOMAIN") && (l.has("ADD") >= 0 || l.has("SET", "NOT", "NULL") >= 0) && l.has("NOT", "VALID") < 0:
		l.add(Locking, Share, "every table that uses the domain is read while its writers wait", "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT")
	case l.has("RENAME") >= 0 && !l.is("ALTER", "INDEX"), l.has("SET", "SCHEMA") >= 0:
		l.add(Breaking, NoLock, "statements that use the old name fail", "keep the old name beside the new one until nothing uses it (a view, a wrapper)")
	case l.is("ALTER", "SYSTEM"), l.is("ALTER", "DATABASE"), l.is("ALTER", "ROLE"):
		l.add(Breaking, NoLock, "it changes more than the structure, and for every session that comes", "settings belong to the server's configuration")
	}
}

func (l *linter) other() {
	switch {
	case l.is("UPDATE"), l.is("DELETE"):
		i := skipWords(l.words, 1, "FROM", "ONLY")
		table, _ := nameAt(l.words, i)
		if l.isFresh(table) || l.has("WHERE") >= 0 {
			return
		}
		if l.is("DELETE") {
			l.add(Lossy, NoLock, "without WHERE every row of "+table+" is gone", "")
		}
		l.add(Locking, NoLock, "every row of "+table+" is written and stays locked until the transaction ends", "batches by the primary key, each in a transaction of its own")
	case l.is("VACUUM") && strings.Contains(strings.ToUpper(l.text), "FULL"), l.is("CLUSTER"):
		l.refuseInside(l.is("VACUUM"))
		l.add(Rewrites, AccessExclusive, "the whole table is written again while everybody waits", "VACUUM without FULL, or pg_repack")
	case l.is("REINDEX"):
		if l.has("CONCURRENTLY") < 0 {
			l.strong("the index's table", AccessExclusive)
			l.add(Locking, AccessExclusive, "nobody can write, and no query can use the index, while it is built", "REINDEX ... CONCURRENTLY, outside a transaction")
		} else {
			l.refuseInside(true)
		}
	case l.is("REFRESH", "MATERIALIZED", "VIEW") && l.has("CONCURRENTLY") < 0:
		l.add(Locking, AccessExclusive, "nobody can read the view while its query runs", "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index")
	case l.is("LOCK"):
		table, _ := nameAt(l.words, skipWords(l.words, 1, "TABLE", "ONLY"))
		l.strong(table, AccessExclusive)
		l.add(Locking, AccessExclusive, "it holds the lock of "+table+" until the transaction ends", "")
	}
}

func (l *linter) refuseInside(never bool) {
	if never && l.inside {
		l.add(Refused, NoLock, "it cannot run inside a transaction", "run it outside")
	}
}
