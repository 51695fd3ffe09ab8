package schema

import "strings"

// sequenceOptions prints a sequence's properties. typed: with its type, which an identity column gives by itself.
func sequenceOptions(s *Object, typed bool) string {
	var b strings.Builder
	if typed {
		b.WriteString(" AS " + s.attr("type"))
	}
	b.WriteString(" START WITH " + s.attr("start") + " INCREMENT BY " + s.attr("increment") + " MINVALUE " + s.attr("min") + " MAXVALUE " + s.attr("max") + " CACHE " + s.attr("cache"))
	if s.is("cycle") {
		b.WriteString(" CYCLE")
	} else {
		b.WriteString(" NO CYCLE")
	}
	return b.String()
}

func (w *writer) createSequence(o *Object) {
	verb := "CREATE SEQUENCE "
	if o.attr("persistence") == "u" {
		verb = "CREATE UNLOGGED SEQUENCE "
	}
	w.add(statement(o.Address, "create "+o.String(), verb+sqlName(o)+sequenceOptions(o, true)))
}

func (w *writer) alterSequence(from, o *Object, changed map[string]bool) bool {
	if changed["identity"] {
		return false
	}
	head := "ALTER SEQUENCE " + sqlName(o)
	if changed["persistence"] {
		word := " SET LOGGED"
		if o.attr("persistence") == "u" {
			word = " SET UNLOGGED"
		}
		if o.attr("identity") == "" { // the table's own change carries it to an identity sequence
			w.add(statement(o.Address, "change the durability of "+o.String(), head+word))
		}
	}
	for _, attr := range []string{"type", "start", "increment", "min", "max", "cache", "cycle"} {
		if changed[attr] {
			typed := o.attr("identity") == "" || changed["type"]
			w.add(statement(o.Address, "change "+o.String()+" from"+sequenceOptions(from, typed)+" to"+sequenceOptions(o, typed), head+sequenceOptions(o, typed)))
			break
		}
	}
	return true
}

// ownSequence ties a sequence to a column, or unties it.
func (w *writer) ownSequence(o *Object, column string) {
	w.add(statement(o.Address, "owner column of sequence "+o.Schema+"."+o.Name+" becomes "+column, "ALTER SEQUENCE "+o.tableName()+" OWNED BY "+column))
}

// tieSequence ties a new or re-tied sequence to its column. A sequence that begins in this plan while its column has rows goes on
// behind them: the next insert must not meet a number that is taken.
func (w *writer) tieSequence(o *Object) {
	w.ownSequence(o, o.attr("column"))
	sequence := w.p.ops[Address{Kind: KindSequence, Schema: o.Schema, Name: o.Name}]
	if sequence == nil || sequence.change != create && sequence.change != recreate {
		return
	}
	for _, d := range o.Deps {
		if c := w.p.to.Objects[d]; d.Kind == KindColumn && c != nil && w.p.ops[d].exists() {
			w.add(w.p.continueSequence(sequence.to, c))
		}
	}
}

// continueSequence sets a new sequence behind the largest (for a descending one: the smallest) number in its column, and behind
// what the sequence that it replaces has already given out.
func (p *planner) continueSequence(s, column *Object) Statement {
	extreme, pick := "max", "GREATEST"
	if strings.HasPrefix(s.attr("increment"), "-") {
		extreme, pick = "min", "LEAST"
	}
	c := quote(column.Sub)
	last := "(SELECT " + extreme + "(" + c + ")::bigint FROM " + column.tableName() + ")"
	if old := p.replacedSequence(s, column); old != "" {
		last = pick + "(" + last + ", (SELECT last_value FROM " + old + " WHERE is_called))"
	}
	sql := "SELECT pg_catalog.setval(" + literal(sqlName(s)) + "::pg_catalog.regclass, v) FROM (SELECT " + last + " AS v) x WHERE v BETWEEN " + literal(s.attr("min")) + "::bigint AND " + literal(s.attr("max")) + "::bigint"
	return statement(s.Address, "go on numbering "+column.Label()+" where its rows end", sql)
}

// replacedSequence is where a set-aside sequence with the same job can be read, or "".
func (p *planner) replacedSequence(s, column *Object) string {
	o := p.ops[s.Address]
	if o == nil || o.from == nil || !p.tombs[s.Address] {
		return ""
	}
	_ = column
	return qualify(TombstoneSchema, p.tombName(o.from))
}
