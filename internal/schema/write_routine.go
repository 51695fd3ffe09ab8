package schema

import "strings"

func (w *writer) createRoutine(o *Object, description string) {
	if o.Kind == KindAggregate {
		w.add(statement(o.Address, description, "CREATE OR REPLACE AGGREGATE "+qualify(o.Schema, o.Name)+"("+o.attr("arguments")+") ("+o.attr("definition")+")"))
		return
	}
	w.add(statement(o.Address, description, "CREATE OR REPLACE "+sqlKind(o.Kind)+" "+qualify(o.Schema, o.Name)+strings.TrimRight(o.attr("definition"), "\n")))
}

// alterRoutine replaces a routine's body; false where the server does not let its shape change.
func (w *writer) alterRoutine(from, o *Object, changed map[string]bool) bool {
	if changed["result"] {
		return false
	}
	if o.Kind == KindAggregate {
		if changed["arguments"] {
			return false
		}
	} else if from.attr("all_arguments") != o.attr("all_arguments") || changed["argument_names"] && from.attr("argument_names") != "" || atoi(from.attr("default_count")) > atoi(o.attr("default_count")) {
		return false
	}
	if changed["definition"] || changed["argument_names"] || changed["arguments"] {
		w.createRoutine(o, "replace "+o.String())
		if user := w.p.computedBy(o.Address); user != "" {
			last := &w.now[len(w.now)-1]
			*last = last.hazard(Lossy, user+" was computed with the old body and is not computed again")
		}
	}
	return true
}

// computedBy names something stored that a function computed, or "".
func (p *planner) computedBy(function Address) string {
	for _, u := range p.users[function] {
		if o := p.ops[u]; o.exists() && (u.Kind == KindIndex || u.Kind == KindColumn || u.Kind == KindMatView) {
			return u.String()
		}
	}
	return ""
}

func (w *writer) createView(o *Object, verb string) {
	with := ""
	if opts := o.list("options"); len(opts) > 0 {
		with = " WITH (" + options(opts, "") + ")"
	}
	definition := strings.TrimRight(strings.TrimSpace(o.attr("definition")), ";")
	if o.Kind == KindMatView {
		if am := o.attr("access_method"); am != "" {
			with = " USING " + quote(am) + with
		}
		if ts := o.attr("tablespace"); ts != "" {
			with += " TABLESPACE " + quote(ts)
		}
		data := " WITH DATA"
		if o.attr("populated") == "false" {
			data = " WITH NO DATA"
		}
		st := statement(o.Address, "create "+o.String(), "CREATE MATERIALIZED VIEW "+sqlName(o)+with+" AS\n"+definition+data)
		w.add(st.scanning().hazard(Locking, "its query runs within the statement"))
		return
	}
	w.add(statement(o.Address, strings.ToLower(verb)+" "+o.String(), verb+" VIEW "+sqlName(o)+with+" AS\n"+definition))
}

// alterView replaces a view's query where its columns stay; false when it must be made anew.
func (w *writer) alterView(from, o *Object, changed map[string]bool) bool {
	if changed["definition"] {
		if o.Kind == KindMatView || !w.p.extendsColumns(from.Address) {
			return false
		}
		w.createView(o, "CREATE OR REPLACE")
		w.now[len(w.now)-1].Description = "replace " + o.String()
		return true
	}
	if !w.p.extendsColumns(from.Address) {
		return false
	}
	head := "ALTER " + sqlKind(o.Kind) + " " + sqlName(o)
	if changed["options"] {
		w.alterOptions(o, head, "", from.list("options"), o.list("options"), AccessExclusive)
	}
	if changed["toast_options"] {
		w.alterOptions(o, head, "toast.", from.list("toast_options"), o.list("toast_options"), ShareUpdateExclusive)
	}
	if changed["tablespace"] {
		w.add(statement(o.Address, "move "+o.String()+" to another tablespace", head+" SET TABLESPACE "+tablespaceName(o)).hazard(Rewrites, "it is copied"))
	}
	if changed["access_method"] {
		return false
	}
	return true
}

// extendsColumns says whether a view's new columns are its old ones, in order, with others only behind them.
func (p *planner) extendsColumns(view Address) bool {
	from, to := p.partsIn(false, view, KindColumn), p.partsIn(true, view, KindColumn)
	if len(to) < len(from) {
		return false
	}
	for i, c := range from {
		if to[i].Sub != c.Sub || to[i].attr("type") != c.attr("type") || to[i].attr("collation") != c.attr("collation") {
			return false
		}
		if o := p.ops[c.Address]; o != nil && o.retype {
			return false
		}
	}
	return true
}

func (w *writer) createTrigger(o *Object, replace bool) {
	head := "CREATE "
	if replace {
		head = "CREATE OR REPLACE "
	}
	if o.is("constraint") {
		head += "CONSTRAINT "
	}
	table := w.p.relationOf(o.Address)
	w.add(statement(o.Address, "create "+o.String(), head+"TRIGGER "+quote(o.Sub)+" "+o.attr("definition")).locking(ShareRowExclusive, w.existing(table)...))
}

// enable sets whether a trigger or rule fires.
func (w *writer) enable(o *Object) {
	verb := map[string]string{"": "ENABLE", "O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}[o.attr("enabled")]
	table := w.p.relationOf(o.Address)
	w.add(statement(o.Address, strings.ToLower(verb)+" "+o.String(), "ALTER TABLE "+o.tableName()+" "+verb+" "+sqlKind(o.Kind)+" "+quote(o.Sub)).locking(ShareRowExclusive, w.existing(table)...))
}

func (w *writer) alterTrigger(from, o *Object, changed map[string]bool) bool {
	if changed["constraint"] || changed["definition"] && o.is("constraint") {
		return false
	}
	if changed["definition"] {
		w.createTrigger(o, true)
		w.now[len(w.now)-1].Description = "replace " + o.String()
	}
	// Replacing a trigger enables it.
	if changed["enabled"] || changed["definition"] && o.attr("enabled") != "" {
		w.enable(o)
	}
	_ = from
	return true
}

func (w *writer) createPolicy(o *Object) {
	kind := ""
	if o.is("restrictive") {
		kind = " AS RESTRICTIVE"
	}
	w.add(statement(o.Address, "create "+o.String(), "CREATE POLICY "+sqlName(o)+kind+" FOR "+o.attr("command")+" TO "+strings.Join(o.list("roles"), ", ")+policyExpressions(o)).
		locking(AccessExclusive, w.existing(w.p.relationOf(o.Address))...))
}

func policyExpressions(o *Object) string {
	out := ""
	if e := o.attr("using"); e != "" {
		out += " USING (" + e + ")"
	}
	if e := o.attr("check"); e != "" {
		out += " WITH CHECK (" + e + ")"
	}
	return out
}

func (w *writer) alterPolicy(from, o *Object, changed map[string]bool) bool {
	if changed["command"] || changed["restrictive"] || from.attr("using") != "" && o.attr("using") == "" || from.attr("check") != "" && o.attr("check") == "" {
		return false
	}
	w.add(statement(o.Address, "change "+o.String(), "ALTER POLICY "+sqlName(o)+" TO "+strings.Join(o.list("roles"), ", ")+policyExpressions(o)).
		locking(AccessExclusive, w.p.relationOf(o.Address)).hazard(Breaking, "other rows become visible or writable"))
	return true
}
