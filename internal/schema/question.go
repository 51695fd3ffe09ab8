package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
)

// Question is a choice that the catalogues cannot settle: something with rows is gone and something like it has come.
type Question struct {
	ID      string   `json:"id"`      // public.users.fullname
	Kind    Kind     `json:"kind"`    // of what is gone
	Text    string   `json:"text"`    // for a person
	Answers []string `json:"answers"` // each can be given as it stands, most likely first
}

// ParseAnswers reads answers as people give them: rename:public.users.fullname=display_name, drop:public.users.fullname,
// keep:..., using:...=expression, fill:...=expression. drop:* answers every question that is not answered otherwise.
func ParseAnswers(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, a := range list {
		key, value, found := strings.Cut(a, "=")
		verb, subject, ok := strings.Cut(key, ":")
		if !ok || subject == "" || !slices.Contains([]string{"rename", "drop", "keep", "adopt", "using", "fill"}, verb) {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is no answer", a), Hint: "write rename:TABLE.COLUMN=NEW_NAME, drop:TABLE.COLUMN, keep:OBJECT, using:TABLE.COLUMN=EXPRESSION or fill:TABLE.COLUMN=EXPRESSION"}
		}
		if !found {
			value = "yes"
		}
		if value == "" {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q has no value", a)}
		}
		out[key] = value
	}
	return out, nil
}

// answer finds what was answered about an object. What is in the schema public may be named without it.
func (o Options) answer(verb string, a Address) (string, bool) {
	for _, label := range labelsOf(a) {
		if v, ok := o.Answers[verb+":"+label]; ok {
			return v, true
		}
	}
	return "", false
}

// chosen is what the user chose about an object, or "".
func (o Options) chosen(verb string, a Address) string {
	v, _ := o.answer(verb, a)
	return v
}

func labelsOf(a Address) []string {
	label := a.Label()
	if short, ok := strings.CutPrefix(label, "public."); ok {
		return []string{label, short}
	}
	return []string{label}
}

// dropAnswered says whether the user wants something gone.
func (o Options) dropAnswered(a Address) bool {
	if _, ok := o.answer("drop", a); ok {
		return true
	}
	_, all := o.Answers["drop:*"]
	return all
}

// answeredRenames are the renames that the user named, as far as both names exist.
func answeredRenames(production, development *Catalog, opts Options) (map[Address]Address, map[Address]map[string]string) {
	moved, labels := map[Address]Address{}, map[Address]map[string]string{}
	if len(opts.Answers) == 0 {
		return moved, labels
	}
	for a, o := range production.Objects {
		if !canRename(a.Kind) || a.Kind == KindIndex || a.Kind == KindConstraint {
			continue
		}
		if a.Kind == KindEnum {
			for _, l := range o.list("labels") {
				if new, ok := opts.answer("rename", Address{KindEnum, a.Schema, a.Name, l}); ok {
					if labels[a] == nil {
						labels[a] = map[string]string{}
					}
					labels[a][l] = new
				}
			}
		}
		value, ok := opts.answer("rename", a)
		if !ok {
			continue
		}
		to := a
		if schema, name, qualified := strings.Cut(value, "."); qualified && !a.Kind.onRelation() && a.Schema != "" && development.Objects[Address{a.Kind, schema, name, a.Sub}] != nil {
			to.Schema, to.Name = schema, name
		} else {
			setOwnName(&to, value)
		}
		moved[a] = to
	}
	return moved, labels
}

// ask looks for things with rows that are gone while something like them has come. Only what was not answered is asked.
func (p *planner) ask() {
	p.classify()
	p.askTables()
	p.askColumns()
	p.askLabels()
}

func (p *planner) question(gone Address, text string, candidates []string) {
	if p.opts.dropAnswered(gone) {
		return
	}
	id := gone.Label()
	q := Question{ID: id, Kind: gone.Kind, Text: text}
	for _, c := range candidates {
		q.Answers = append(q.Answers, "rename:"+id+"="+c)
	}
	q.Answers = append(q.Answers, "drop:"+id)
	p.plan.Questions = append(p.plan.Questions, q)
}

// gone lists what disappears, or comes, of a kind.
func (p *planner) changing(kind Kind, what change) []Address {
	var out []Address
	for _, a := range p.sortedOps() {
		if a.Kind == kind && p.ops[a].change == what {
			out = append(out, a)
		}
	}
	return out
}

// holdsRows says whether a relation of production has rows to lose.
func (p *planner) holdsRows(relation Address) bool {
	o := p.from.Objects[relation]
	if o == nil {
		return false
	}
	if o.Bytes > 0 {
		return true
	}
	return slices.ContainsFunc(p.users[relation], func(u Address) bool {
		return (u.Kind == KindPartition || u.Kind == KindInheritance) && (u.Schema != relation.Schema || u.Name != relation.Name) && p.holdsRows(p.relationIn(p.from, u))
	})
}

type candidate struct {
	name  string
	score float64
}

func best(list []candidate) []string {
	slices.SortStableFunc(list, func(a, b candidate) int {
		if a.score != b.score {
			if a.score > b.score {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for _, c := range list[:min(len(list), 5)] {
		out = append(out, c.name)
	}
	return out
}

func (p *planner) askTables() {
	come := p.changing(KindTable, create)
	for _, gone := range p.changing(KindTable, drop) {
		if !p.holdsRows(gone) {
			continue
		}
		var list []candidate
		for _, new := range come {
			if score := p.alike(gone, new); score >= 0.5 {
				name := new.Name
				if new.Schema != gone.Schema {
					name = new.Schema + "." + new.Name
				}
				list = append(list, candidate{name, score})
			}
		}
		if len(list) > 0 {
			p.question(gone, fmt.Sprintf("%s is gone from development and %s has come: is it the same table under another name, or is it dropped?", gone, best(list)[0]), best(list))
		}
	}
}

// alike compares two tables by the names and types of their columns.
func (p *planner) alike(gone, new Address) float64 {
	old, now := p.partsIn(false, gone, KindColumn), p.partsIn(true, new, KindColumn)
	same := 0.0
	for _, a := range old {
		for _, b := range now {
			if a.Sub == b.Sub {
				same += 0.5
				if a.attr("type") == b.attr("type") {
					same += 0.5
				}
			}
		}
	}
	all := float64(len(old)+len(now)) - same
	if all == 0 {
		return 0
	}
	score := same / all
	if gone.Name == new.Name {
		score += 0.5
	}
	return score
}

func (p *planner) askColumns() {
	come := map[[2]string][]Address{}
	for _, a := range p.changing(KindColumn, create) {
		if o := p.ops[a].to; o.attr("generated") == "" && !o.is("inherited") {
			come[[2]string{a.Schema, a.Name}] = append(come[[2]string{a.Schema, a.Name}], a)
		}
	}
	for _, gone := range p.changing(KindColumn, drop) {
		o := p.ops[gone].from
		relation := p.relationIn(p.from, gone)
		if o.attr("generated") != "" || o.is("inherited") || relation.Kind != KindTable || !p.ops[relation].exists() || !p.holdsRows(relation) {
			continue
		}
		var list []candidate
		for _, new := range come[[2]string{gone.Schema, gone.Name}] {
			if score := p.likely(o, p.ops[new].to); score > 0 {
				list = append(list, candidate{new.Sub, score})
			}
		}
		if len(list) > 0 {
			p.question(gone, fmt.Sprintf("%s is gone from development and column %s has come: is it the same column under another name, or is it dropped?", gone, best(list)[0]), best(list))
		}
	}
}

// likely scores a pair of columns by type, place and name; zero where values of one could hardly be values of the other.
func (p *planner) likely(gone, new *Object) float64 {
	score := 0.0
	switch a, b := gone.attr("type_name"), new.attr("type_name"); {
	case a == b:
		score = 2
	case isString(a) && isString(b), family(a) != "" && family(a) == family(b):
		score = 1
	case gone.Position == new.Position:
		score = 0.5
	default:
		return 0
	}
	if gone.Position == new.Position {
		score++
	}
	if gone.attr("not_null") == new.attr("not_null") {
		score += 0.25
	}
	return score + nearness(gone.Sub, new.Sub)
}

func family(name string) string {
	switch stripModifier(name) {
	case "smallint", "integer", "bigint", "numeric", "real", "double precision":
		return "number"
	case "date", "timestamp without time zone", "timestamp with time zone":
		return "time"
	case "json", "jsonb":
		return "json"
	}
	return ""
}

// nearness is the share of letter pairs that two names have in common.
func nearness(a, b string) float64 {
	pairs := func(s string) map[string]bool {
		out := map[string]bool{}
		for i := 0; i+1 < len(s); i++ {
			out[strings.ToLower(s[i:i+2])] = true
		}
		return out
	}
	pa, pb := pairs(a), pairs(b)
	if len(pa)+len(pb) == 0 {
		return 0
	}
	common := 0
	for k := range pa {
		if pb[k] {
			common++
		}
	}
	return 2 * float64(common) / float64(len(pa)+len(pb))
}

func (p *planner) askLabels() {
	for _, a := range p.sortedOps() {
		o := p.ops[a]
		if a.Kind != KindEnum || o.from == nil || o.to == nil || !p.usedWithRows(a) {
			continue
		}
		old, now := o.from.list("labels"), o.to.list("labels")
		var come []candidate
		for i, l := range now {
			if !slices.Contains(old, l) {
				come = append(come, candidate{l, -float64(i)})
			}
		}
		for i, l := range old {
			if slices.Contains(now, l) || len(come) == 0 {
				continue
			}
			list := slices.Clone(come)
			for j := range list {
				if int(-list[j].score) == i {
					list[j].score = 1
				}
				list[j].score += 10 * nearness(l, list[j].name)
			}
			gone := Address{KindEnum, a.Schema, a.Name, l}
			p.question(gone, fmt.Sprintf("the value %s of %s is gone from development and %s has come: is it the same value under another name, or is it dropped?", literal(l), a, literal(best(list)[0])), best(list))
		}
	}
}

// usedWithRows says whether a table with rows has a column of the type.
func (p *planner) usedWithRows(typ Address) bool {
	return slices.ContainsFunc(p.users[typ], func(u Address) bool { return u.Kind == KindColumn && p.holdsRows(p.relationIn(p.from, u)) })
}
