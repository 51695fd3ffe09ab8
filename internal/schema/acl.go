package schema

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// agentRole is the role that agents read production as.
const agentRole = "holdfast_agent"

// WithoutAgents leaves out of a structure as pg_dump writes it what agents were granted to read.
func WithoutAgents(dump string) string { return agentGrants.ReplaceAllString(dump, "") }

var agentGrants = regexp.MustCompile(`(?m)^GRANT [A-Z]+ ON [^;\n]* TO ` + agentRole + `;\n`)

// grant is one privilege that somebody has on an object.
type grant struct {
	grantee   string // empty: everybody
	grantor   string
	privilege byte
	grantable bool
}

// parseACL reads access privileges as the server prints them: ["owner=arwd/owner", "=r/owner"].
func parseACL(text string) []grant {
	if text == "" {
		return nil
	}
	var items []string
	_ = json.Unmarshal([]byte(text), &items) // our own encoding; a broken one grants nothing
	var out []grant
	for _, item := range items {
		grantee, rest := cutRole(item)
		privileges, grantor, _ := strings.Cut(strings.TrimPrefix(rest, "="), "/")
		grantor, _ = cutRole(grantor)
		for i := 0; i < len(privileges); i++ {
			g := grant{grantee: grantee, grantor: grantor, privilege: privileges[i]}
			if i+1 < len(privileges) && privileges[i+1] == '*' {
				g.grantable = true
				i++
			}
			out = append(out, g)
		}
	}
	return out
}

// cutRole takes a role's name, quoted where needed, from the beginning of an ACL item.
func cutRole(item string) (role, rest string) {
	if !strings.HasPrefix(item, `"`) {
		if end := strings.IndexByte(item, '='); end >= 0 {
			return item[:end], item[end:]
		}
		return item, ""
	}
	end := scanQuoted(item, 0)
	return strings.ReplaceAll(item[1:end-1], `""`, `"`), item[end:]
}

// defaultACL is what a new object of that kind grants before anybody says anything (acldefault in the server).
func defaultACL(k Kind, owner string, version int) []grant {
	own, all := "", ""
	switch k {
	case KindTable, KindView, KindMatView, KindForeignTable:
		own = "arwdDxt"
		if version >= 170000 {
			own += "m"
		}
	case KindSequence:
		own = "rwU"
	case KindSchema:
		own = "UC"
	case KindFunction, KindProcedure, KindAggregate:
		own, all = "X", "X"
	case KindEnum, KindDomain, KindComposite, KindRange, KindBaseType, KindLanguage:
		own, all = "U", "U"
	case KindFDW, KindServer:
		own = "U"
	}
	var out []grant
	for i := range len(all) {
		out = append(out, grant{grantor: owner, privilege: all[i]})
	}
	for i := range len(own) {
		out = append(out, grant{grantee: owner, grantor: owner, privilege: own[i]})
	}
	return out
}

// withOwner says what privileges become when the object gets another owner: the old owner's entries pass to the new one.
func withOwner(grants []grant, old, new string) []grant {
	out := slices.Clone(grants)
	for i := range out {
		if out[i].grantee == old {
			out[i].grantee = new
		}
		if out[i].grantor == old {
			out[i].grantor = new
		}
	}
	return out
}

func privilegeName(p byte) string {
	switch p {
	case 'r':
		return "SELECT"
	case 'a':
		return "INSERT"
	case 'w':
		return "UPDATE"
	case 'd':
		return "DELETE"
	case 'D':
		return "TRUNCATE"
	case 'x':
		return "REFERENCES"
	case 't':
		return "TRIGGER"
	case 'm':
		return "MAINTAIN"
	case 'X':
		return "EXECUTE"
	case 'U':
		return "USAGE"
	case 'C':
		return "CREATE"
	case 'c':
		return "CONNECT"
	case 'T':
		return "TEMPORARY"
	case 's':
		return "SET"
	}
	return "ALTER SYSTEM"
}

// aclTarget says what privileges are granted on.
type aclTarget struct {
	on     string // "TABLE public.t", "TABLES" for default privileges
	column string // quoted; empty for the whole object
	prefix string // "ALTER DEFAULT PRIVILEGES FOR ROLE x "
	owner  string // grants of others are made in their name
}

// diffACL lists the statements that turn the privileges from into to: first what is taken, then what is given.
func diffACL(t aclTarget, from, to []grant) []string {
	var out []string
	taken, given := groupGrants(subtract(from, to)), groupGrants(subtract(to, from))
	// Who was granted something may have granted it further: that goes first, and comes last.
	slices.SortStableFunc(taken, func(a, b []grant) int { return t.depth(b[0].grantor, from) - t.depth(a[0].grantor, from) })
	slices.SortStableFunc(given, func(a, b []grant) int { return t.depth(a[0].grantor, to) - t.depth(b[0].grantor, to) })
	for _, group := range taken {
		out = append(out, t.as(group[0].grantor, t.prefix+"REVOKE "+t.privileges(group)+" ON "+t.on+" FROM "+roleName(group[0].grantee))...)
	}
	for _, group := range given {
		option := ""
		if group[0].grantable {
			option = " WITH GRANT OPTION"
		}
		out = append(out, t.as(group[0].grantor, t.prefix+"GRANT "+t.privileges(group)+" ON "+t.on+" TO "+roleName(group[0].grantee)+option)...)
	}
	return out
}

// depth is how many grants lie between the owner and a role that grants.
func (t aclTarget) depth(grantor string, grants []grant) int {
	for n := range 8 { // longer chains are not ordered
		i := slices.IndexFunc(grants, func(g grant) bool { return g.grantee == grantor && g.grantor != grantor })
		if grantor == t.owner || i < 0 {
			return n
		}
		grantor = grants[i].grantor
	}
	return 8
}

// as runs a grant in the name of the role that made it, where that is not the owner.
func (t aclTarget) as(grantor, sql string) []string {
	if t.owner == "" || grantor == t.owner || t.prefix != "" {
		return []string{sql}
	}
	return []string{"SET ROLE " + quote(grantor), sql, "RESET ROLE"}
}

func (t aclTarget) privileges(group []grant) string {
	names := make([]string, len(group))
	for i, g := range group {
		names[i] = privilegeName(g.privilege)
		if t.column != "" {
			names[i] += " (" + t.column + ")"
		}
	}
	return strings.Join(names, ", ")
}

func roleName(role string) string {
	if role == "" {
		return "PUBLIC"
	}
	return quote(role)
}

func subtract(a, b []grant) []grant {
	var out []grant
	for _, g := range a {
		if !slices.Contains(b, g) {
			out = append(out, g)
		}
	}
	return out
}

// groupGrants puts grants together that one statement can make.
func groupGrants(grants []grant) [][]grant {
	type key struct {
		grantee, grantor string
		grantable        bool
	}
	groups := map[key][]grant{}
	var keys []key
	for _, g := range grants {
		k := key{g.grantee, g.grantor, g.grantable}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], g)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.grantee, b.grantee), cmp.Compare(a.grantor, b.grantor))
	})
	out := make([][]grant, len(keys))
	for i, k := range keys {
		out[i] = groups[k]
	}
	return out
}

// grantTarget is what GRANT calls the object, or "" when nothing can be granted on it.
func grantTarget(o *Object) string {
	switch o.Kind {
	case KindTable, KindView, KindMatView, KindForeignTable:
		return "TABLE " + sqlName(o)
	case KindColumn:
		return "TABLE " + o.tableName()
	case KindAggregate:
		return "FUNCTION " + sqlName(o)
	case KindEnum, KindDomain, KindComposite, KindRange, KindBaseType:
		return "TYPE " + sqlName(o)
	case KindServer:
		return "FOREIGN SERVER " + sqlName(o)
	case KindSequence, KindSchema, KindFunction, KindProcedure, KindLanguage, KindFDW:
		return sqlKind(o.Kind) + " " + sqlName(o)
	}
	return ""
}
