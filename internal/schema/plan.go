package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
)

// Options say how a plan is made.
type Options struct {
	// Answers to questions: "rename:public.users.fullname" to "display_name", "drop:public.users.fullname" to "yes", and what the
	// user chooses where nothing asks: "using:TABLE.COLUMN" (how values are converted), "fill:TABLE.COLUMN" (a value for rows that
	// have none). See ParseAnswers.
	Answers map[string]string
	// Tombstones sets dropped tables, columns and sequences aside instead of dropping them.
	Tombstones bool
	// Restore brings back what earlier plans set aside. Only a plan that leads back wants it.
	Restore bool
	// AllowLossy lets conversions cut values that do not fit. Without it such values make the statement fail.
	AllowLossy bool
	// Offline allows statements that make everybody wait (plain CREATE INDEX, one-step constraints): for empty databases and for
	// a maintenance window. Fewer statements, all of them transactional.
	Offline bool
	// Publish is the number by which tombstones remember who made them.
	Publish string
	// Roles gives roles of development the names that they have in production.
	Roles map[string]string

	outright map[Address]bool // columns whose values live on in others: they are dropped and not set aside
}

func (o Options) online() bool { return !o.Offline }

// Input is what a plan is made of.
type Input struct {
	// Baseline is development's catalogue at the last publish, when production was equal to it. Nil: there was none; then nothing
	// that only production has is dropped without an answer.
	Baseline    *Catalog
	Development *Catalog
	Production  *Catalog
	Options     Options
}

// Plan leads from production's structure to development's.
type Plan struct {
	Statements []Statement `json:"statements"`
	Renames    []Rename    `json:"renames,omitempty"`
	Questions  []Question  `json:"questions,omitempty"` // unanswered: the plan must not be applied
	Drift      []Drift     `json:"drift,omitempty"`
	Problems   []Problem   `json:"problems,omitempty"` // what cannot be carried: the plan must not be applied
	Notes      []string    `json:"notes,omitempty"`
	Lost       []string    `json:"lost,omitempty"` // what a plan that leads back cannot bring back
	Checks     []Check     `json:"checks,omitempty"`
	From       string      `json:"from"` // fingerprint of production as it was planned for
	To         string      `json:"to"`   // fingerprint of production as it will be

	// Makes is what a plan makes that its statements do not name: one that was not computed here, but written by somebody.
	Makes []Address `json:"makes,omitempty"`

	// Preludes is how many of the first statements only give things other names (or make the schemas that they move to).
	Preludes int `json:"preludes,omitempty"`

	needsTombstones bool
}

// Problem is something that a plan cannot carry.
type Problem struct {
	Object Address `json:"object"`
	Reason string  `json:"reason"`
}

// Empty says whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Statements) == 0 }

// Ready returns nil when the plan may be applied, and otherwise an error that says what is in the way.
func (p *Plan) Ready() error {
	if len(p.Problems) > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("%s: %s", p.Problems[0].Object, p.Problems[0].Reason)}
	}
	if len(p.Questions) > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: p.Questions[0].Text, Hint: "answer with --answer " + strings.Join(p.Questions[0].Answers, " or --answer ")}
	}
	return nil
}

// SQL is the plan as a script.
func (p *Plan) SQL() string {
	var b strings.Builder
	for _, s := range p.Statements {
		b.WriteString(s.SQL + ";\n")
	}
	return b.String()
}

// Compute makes the plan. It reads nothing but its arguments and changes none of them.
func Compute(in Input) (*Plan, error) {
	c, from, to := in.compare()
	plan := c.plan
	p := newPlanner(from, to, in.Options, plan)
	p.original = c.original
	p.ask()
	if err := p.run(); err != nil {
		return nil, err
	}
	for i := range c.statements {
		c.statements[i].Group = renameGroup // all names change at one moment
	}
	plan.Preludes = len(c.statements)
	plan.Statements = slices.Concat(c.statements, plan.Statements)
	plan.finish(in.Production)
	plan.To = to.Fingerprint()
	return plan, nil
}

// compare brings the three catalogues to a common set of names: production as it is then, and as it shall be.
func (in Input) compare() (c *comparison, from, to *Catalog) {
	plan := &Plan{From: in.Production.Fingerprint()}
	development := prepare(in.Development, in.Options.Roles)
	baseline := in.Baseline
	if baseline != nil {
		baseline = prepare(baseline, in.Options.Roles)
	}
	if major(in.Production) < major(in.Development) {
		plan.Notes = append(plan.Notes, fmt.Sprintf("production runs PostgreSQL %d, development %d", major(in.Production), major(in.Development)))
	}
	c = &comparison{plan: plan, opts: in.Options, baseline: baseline, development: development, production: in.Production}
	from, to = c.reconcile()
	return c, from, to
}

// finish makes the place for what is set aside, where the database has none, and numbers the transactions.
func (p *Plan) finish(database *Catalog) {
	if p.needsTombstones && database.Hidden[Address{Kind: KindSchema, Name: TombstoneSchema}] == nil {
		make := statement(Address{Kind: KindSchema, Name: TombstoneSchema}, "make the place where dropped things are kept", "CREATE SCHEMA IF NOT EXISTS "+quote(TombstoneSchema))
		p.Statements = slices.Insert(p.Statements, p.Preludes, make)
	}
	groupStatements(p)
}

func major(c *Catalog) int { return c.Version / 10000 }

// prepare leaves out of a catalogue what no dump would carry, and gives roles their names in production.
func prepare(c *Catalog, roles map[string]string) *Catalog {
	out := *c
	out.byIndex = nil
	out.Objects = make(map[Address]*Object, len(c.Objects))
	for a, o := range c.Objects {
		if a.Kind == KindIndex && o.is("invalid") && !o.is("partitioned") {
			continue // a failed CREATE INDEX CONCURRENTLY
		}
		if len(roles) > 0 {
			o = withRoles(o, roles)
		}
		out.Objects[o.Address] = o
	}
	return &out
}

func withRoles(o *Object, roles map[string]string) *Object {
	n := o.clone()
	if r, ok := roles[n.attr("owner")]; ok {
		n.Attrs["owner"] = r
	}
	for _, k := range []string{"acl", "initial"} {
		if acl := n.attr(k); acl != "" {
			n.Attrs[k] = renameInACL(acl, roles)
		}
	}
	if list := n.list("roles"); n.Kind == KindPolicy {
		for i, r := range list {
			if to, ok := roles[strings.Trim(r, `"`)]; ok {
				list[i] = serverQuote(to)
			}
		}
		slices.Sort(list)
		n.Attrs["roles"] = jsonList(list)
	}
	if n.Kind == KindDefaultACL {
		if r, ok := roles[n.Name]; ok {
			n.Name = r
		}
	}
	return n
}

func renameInACL(acl string, roles map[string]string) string {
	byHolder := map[[2]string]string{}
	var order [][2]string
	for _, g := range parseACL(acl) {
		if r, ok := roles[g.grantee]; ok {
			g.grantee = r
		}
		if r, ok := roles[g.grantor]; ok {
			g.grantor = r
		}
		k := [2]string{g.grantee, g.grantor}
		if _, seen := byHolder[k]; !seen {
			order = append(order, k)
		}
		byHolder[k] += string(g.privilege)
		if g.grantable {
			byHolder[k] += "*"
		}
	}
	var items []string
	for _, k := range order {
		items = append(items, aclRole(k[0])+"="+byHolder[k]+"/"+aclRole(k[1]))
	}
	return canonicalACL(items)
}

// aclRole quotes a role's name as the server does inside an ACL item.
func aclRole(name string) string {
	if strings.IndexFunc(name, func(c rune) bool {
		return c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c < 128
	}) < 0 {
		return name
	}
	return quote(name)
}
