package schema

import "strings"

// writer writes the statements of one node.
type writer struct {
	p *planner
	// swap: the node stands between the removal of something and its return, all in one transaction. Nothing may leave it.
	swap  bool
	now   []Statement
	later []Statement // after the transaction of the swap
}

func (w *writer) add(s ...Statement) { w.now = append(w.now, s...) }

// after adds a statement that need not, or cannot, be part of the swap.
func (w *writer) after(s ...Statement) {
	if w.swap {
		w.later = append(w.later, s...)
		return
	}
	w.now = append(w.now, s...)
}

// options prints storage parameters as WITH or SET want them: ["fillfactor=70"] to fillfactor='70'.
func options(list []string, prefix string) string {
	out := make([]string, len(list))
	for i, o := range list {
		name, value, _ := strings.Cut(o, "=")
		out[i] = prefix + optionName(name) + "=" + literal(value)
	}
	return strings.Join(out, ", ")
}

// optionName quotes an option's name only where it needs it: quoted names keep their case.
func optionName(name string) string {
	if isPlainName(name) {
		return name
	}
	return quote(name)
}

func isPlainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// changedOptions says which options to set and which to reset.
func changedOptions(from, to []string) (set, reset []string) {
	old := map[string]string{}
	for _, o := range from {
		name, value, _ := strings.Cut(o, "=")
		old[name] = value
	}
	for _, o := range to {
		name, value, _ := strings.Cut(o, "=")
		if was, had := old[name]; !had || was != value {
			set = append(set, o)
		}
		delete(old, name)
	}
	for _, o := range from {
		if name, _, _ := strings.Cut(o, "="); mapHas(old, name) {
			reset = append(reset, name)
		}
	}
	return set, reset
}

func mapHas[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }

// alterOptions writes SET and RESET for storage parameters.
func (w *writer) alterOptions(o *Object, head, prefix string, from, to []string, lock LockMode) {
	set, reset := changedOptions(from, to)
	if len(set) > 0 {
		w.add(statement(o.Address, "set options of "+o.String(), head+" SET ("+options(set, prefix)+")").locking(lock, w.p.tableOf(o)))
	}
	if len(reset) > 0 {
		for i := range reset {
			reset[i] = prefix + optionName(reset[i])
		}
		w.add(statement(o.Address, "reset options of "+o.String(), head+" RESET ("+strings.Join(reset, ", ")+")").locking(lock, w.p.tableOf(o)))
	}
}

// foreignOptions prints OPTIONS (...) for a new foreign object, or "".
func foreignOptions(list []string) string {
	if len(list) == 0 {
		return ""
	}
	out := make([]string, len(list))
	for i, o := range list {
		name, value, _ := strings.Cut(o, "=")
		out[i] = quote(name) + " " + literal(value)
	}
	return " OPTIONS (" + strings.Join(out, ", ") + ")"
}

// changedForeignOptions prints OPTIONS (ADD ..., SET ..., DROP ...).
func changedForeignOptions(from, to []string) string {
	had := map[string]bool{}
	for _, o := range from {
		name, _, _ := strings.Cut(o, "=")
		had[name] = true
	}
	set, reset := changedOptions(from, to)
	var out []string
	for _, o := range set {
		name, value, _ := strings.Cut(o, "=")
		verb := "ADD "
		if had[name] {
			verb = "SET "
		}
		out = append(out, verb+quote(name)+" "+literal(value))
	}
	for _, name := range reset {
		out = append(out, "DROP "+quote(name))
	}
	return " OPTIONS (" + strings.Join(out, ", ") + ")"
}

// tableOf is the table that work on the object locks.
func (p *planner) tableOf(o *Object) Address {
	switch {
	case o.Kind.onRelation():
		return p.relationOf(o.Address)
	case o.Kind == KindIndex:
		return p.relationOf(Address{KindTable, o.Schema, o.attr("table"), ""})
	}
	return o.Address
}

// isNew says whether the relation comes into being by this plan: nobody can wait for a lock on it, and it has no rows.
func (p *planner) isNew(relation Address) bool {
	o := p.ops[relation]
	return o != nil && (o.change == create || o.change == recreate)
}

// hasRows says whether the table is worth online care: it was there before and its heap is not empty.
func (p *planner) hasRows(relation Address) bool {
	f := p.from.Objects[relation]
	if f == nil || p.isNew(relation) {
		return false
	}
	return f.Bytes > 0 || f.attr("partition_key") != "" || f.Kind == KindForeignTable
}
