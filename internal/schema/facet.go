package schema

import (
	"slices"
	"strings"
)

// Facets are what many kinds of objects have alike: an owner, a comment, privileges, security labels.

func isFacet(attr string) bool {
	switch attr {
	case "owner", "comment", "acl", "security_labels", "index_comment":
		return true
	}
	return false
}

// facetsOfNew gives a new object its owner, comment and privileges.
func (w *writer) facetsOfNew(o *Object) {
	if owner := o.attr("owner"); owner != "" && owner != w.p.from.User && (!ownedByTable(o) || o.is("owned")) {
		w.add(w.ownerStatement(o))
	}
	if acl, ok := o.Attrs["acl"]; ok && o.Kind != KindDefaultACL && o.Kind != KindExtensionMember {
		w.grants(o, w.initialACL(o), parseACL(acl), w.initialUnknown(o))
	}
	w.comments(o)
}

func (w *writer) comments(o *Object) {
	if c, ok := o.Attrs["comment"]; ok {
		w.add(commentStatement(o, &c))
	}
	if c, ok := o.Attrs["index_comment"]; ok {
		w.add(indexComment(o, &c))
	}
}

// facetsOfChanged carries the changes of owner, comment and privileges.
func (w *writer) facetsOfChanged(from, to *Object, changed map[string]bool) {
	if changed["owner"] && (!ownedByTable(to) || to.is("owned") && !from.is("owned")) {
		w.add(w.ownerStatement(to).hazard(Breaking, "the new owner must be a role that the application's statements expect"))
	}
	if changed["acl"] && to.Kind != KindDefaultACL && to.Kind != KindExtensionMember {
		w.grants(to, withOwner(parseACL(from.attr("acl")), from.attr("owner"), to.attr("owner")), parseACL(to.attr("acl")), false)
	}
	if changed["comment"] {
		w.add(commentStatement(to, attrPointer(to, "comment")))
	}
	if changed["index_comment"] {
		w.add(indexComment(to, attrPointer(to, "index_comment")))
	}
}

func attrPointer(o *Object, attr string) *string {
	if v, ok := o.Attrs[attr]; ok {
		return &v
	}
	return nil
}

// ownedByTable says whether the sequence's owner is its table's owner: it cannot be set by itself. A new sequence gets it before it
// is tied to its column.
func ownedByTable(o *Object) bool {
	return o.Kind == KindSequence && (o.is("owned") || o.attr("identity") != "")
}

func (w *writer) ownerStatement(o *Object) Statement {
	return statement(o.Address, "make "+roleName(o.attr("owner"))+" the owner of "+o.String(), "ALTER "+sqlKind(o.Kind)+" "+sqlName(o)+" OWNER TO "+quote(o.attr("owner")))
}

func commentStatement(o *Object, text *string) Statement {
	value, what := "NULL", "remove the comment of "
	if text != nil {
		value, what = literal(*text), "comment on "
	}
	return statement(o.Address, what+o.String(), "COMMENT ON "+sqlKind(o.Kind)+" "+sqlName(o)+" IS "+value)
}

func indexComment(o *Object, text *string) Statement {
	value := "NULL"
	if text != nil {
		value = literal(*text)
	}
	return statement(o.Address, "comment on the index of "+o.String(), "COMMENT ON INDEX "+qualify(o.Schema, o.Sub)+" IS "+value)
}

// initialACL is what the object grants right after its creation.
func (w *writer) initialACL(o *Object) []grant {
	if o.Kind == KindColumn {
		return nil
	}
	return defaultACL(o.Kind, o.attr("owner"), w.p.to.Version)
}

// initialUnknown says whether default privileges of production add to what a new object grants.
func (w *writer) initialUnknown(o *Object) bool {
	if o.Kind == KindColumn {
		return false
	}
	for a := range w.p.from.Objects {
		if a.Kind == KindDefaultACL && a.Name == w.p.from.User && (a.Schema == "" || a.Schema == o.Schema) {
			return true
		}
	}
	return false
}

// grants carries privileges. When unknown, what default privileges may have granted is taken away first.
func (w *writer) grants(o *Object, from, to []grant, unknown bool) {
	target := aclTarget{on: grantTarget(o), owner: o.attr("owner")}
	if target.on == "" {
		return
	}
	if o.Kind == KindColumn {
		target.column = quote(o.Sub)
		target.owner = w.p.to.relation(o.Schema, o.Name).attr("owner")
	}
	var statements []string
	if unknown {
		for _, role := range w.p.defaultGrantees() {
			if role != o.attr("owner") {
				statements = append(statements, "REVOKE ALL ON "+target.on+" FROM "+roleName(role))
			}
		}
		from = slices.DeleteFunc(slices.Clone(from), func(g grant) bool { return g.grantee == "" })
	}
	statements = append(statements, diffACL(target, from, to)...)
	for _, sql := range statements {
		st := statement(o.Address, "privileges on "+o.String(), sql)
		if strings.HasPrefix(sql, "REVOKE") && !unknown {
			st = st.hazard(Breaking, "roles that lose a privilege may still use it")
		}
		w.add(st)
	}
}

// defaultGrantees are everybody whom production's default privileges mention.
func (p *planner) defaultGrantees() []string {
	roles := []string{""}
	for a, o := range p.from.Objects {
		if a.Kind == KindDefaultACL && a.Name == p.from.User {
			for _, g := range parseACL(o.attr("acl")) {
				roles = append(roles, g.grantee)
			}
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}
