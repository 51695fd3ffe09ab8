package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// PublishPath is the part of a path that names a publish.
type PublishPath struct {
	Project string `path:"project" example:"shop"`
	Number  string `path:"number" doc:"Or \"latest\"." example:"7"`
}

// number is 0 for the newest. What is no number is one that no publish has: the platform says so to whom it may.
func (in PublishPath) number() int {
	if in.Number == "latest" {
		return 0
	}
	if n, err := strconv.Atoi(in.Number); err == nil && n > 0 {
		return n
	}
	return -1
}

type newPublishInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.NewPublish
}

type rehearseInput struct {
	PublishPath
	Body api.Rehearsal
}

type revertInput struct {
	PublishPath
	Body *api.RevertPublish
}

func (in *revertInput) answers() []string {
	if in.Body == nil {
		return nil
	}
	return in.Body.Answers
}

type applyInput struct {
	PublishPath
	Body api.Apply
}

type newMigrationsInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.NewMigrations
}

type adoptInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.Adopt
}

type lintInput struct {
	Body api.Script
}

type publishHooksInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.PublishHooks
}

type schemaDiffInput struct {
	Body api.SchemaDiff
}

func (s *Server) publishRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.PublishesPath, id: "list-publishes", rule: toSee, tag: "publish", summary: "A project's publishes, the newest first"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.Publish, error) {
			all, err := p.Publishes(ctx, who, in.Project)
			return mapped(all, viewPublish), err
		})
	add(s, route{method: http.MethodPost, path: api.PublishesPath, id: "plan-publish", rule: toDevelop, tag: "publish", summary: "Plan how production gets development's structure",
		about: "Compares development, production and what was published last. A publish that has changed nothing yet is planned anew; otherwise the project gets a new one. Neither database is changed."},
		func(ctx context.Context, who holdfast.Principal, in *newPublishInput) (api.Publish, error) {
			v, err := p.PlanPublish(ctx, who, in.Project, platform.NewPublish{Answers: in.Body.Answers, AllowLossy: in.Body.AllowLossy, Maintenance: in.Body.Maintenance, ZeroDowntime: in.Body.ZeroDowntime})
			return viewPublish(v), err
		})
	add(s, route{method: http.MethodGet, path: api.PublishPath, id: "get-publish", rule: toSee, tag: "publish", summary: "A publish with its plan"},
		func(ctx context.Context, who holdfast.Principal, in *PublishPath) (api.Publish, error) {
			v, err := p.Publish(ctx, who, in.Project, in.number())
			return viewPublish(v), err
		})
	add(s, route{method: http.MethodPost, path: api.PublishCancelPath, id: "cancel-publish", rule: toDevelop, tag: "publish", summary: "Give a publish up", about: "One that is being applied is taken back."},
		func(ctx context.Context, who holdfast.Principal, in *PublishPath) (api.Publish, error) {
			v, err := p.CancelPublish(ctx, who, in.Project, in.number())
			return viewPublish(v), err
		})
	s.publishRunRoutes()
	s.publishHookRoutes()
	s.schemaRoutes()
}

func (s *Server) publishRunRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodPost, path: api.PublishMigrationsPath, id: "plan-migrations", rule: toDevelop, body: 2 * platform.MaxMigrationSQL, tag: "publish", summary: "Plan to run a tool's migrations on production",
		about: "Those that ran there already are left out, by the tool's own table, which is written as the tool would. Rehearsed, applied and reverted like any publish. The body may have 16 MiB."},
		func(ctx context.Context, who holdfast.Principal, in *newMigrationsInput) (api.Publish, error) {
			v, err := p.PlanMigrations(ctx, who, in.Project, platform.NewMigrations{Tool: platform.MigrationTool(in.Body.Tool),
				Files: mapped(in.Body.Files, func(f api.Migration) platform.Migration {
					return platform.Migration{Name: f.Name, Version: f.Version, SQL: f.SQL}
				})})
			return viewPublish(v), err
		})
	addJob(s, route{method: http.MethodPost, path: api.PublishRehearsePath, id: "rehearse-publish", rule: toDevelop, tag: "publish", summary: "Run a publish on a copy of production with its data",
		about: "The report says what it did there: times, locks, rows that stand in the way, running code that would fail. The copy is removed afterwards, unless it is to be kept, which takes the right to see production's rows."},
		func(ctx context.Context, who holdfast.Principal, in *rehearseInput) (holdfast.Job, error) {
			return p.RehearsePublish(ctx, who, in.Project, in.number(), in.Body.Keep)
		})
	addJob(s, route{method: http.MethodPost, path: api.PublishApplyPath, id: "apply-publish", rule: toAdminister, tag: "publish", summary: "Run a rehearsed publish on production",
		about: "Only while development and production are still as they were rehearsed. A checkpoint is made first. When it fails in the middle, what was done is taken back."},
		func(ctx context.Context, who holdfast.Principal, in *applyInput) (holdfast.Job, error) {
			return p.ApplyPublish(ctx, who, in.Project, in.number(), in.Body.Allow)
		})
	add(s, route{method: http.MethodPost, path: api.PublishContractPath, id: "contract-publish", rule: toDevelop, tag: "publish", summary: "Plan the removal of columns that exist twice",
		about: "The answer is a publish of its own, which is rehearsed and applied like any other. Apply it when no code for the old structure runs any more."},
		func(ctx context.Context, who holdfast.Principal, in *PublishPath) (api.Publish, error) {
			v, err := p.ContractPublish(ctx, who, in.Project, in.number())
			return viewPublish(v), err
		})
	add(s, route{method: http.MethodPost, path: api.PublishRevertPath, id: "revert-publish", rule: toAdminister, tag: "publish", summary: "Plan the way back of a publish",
		about: "The answer is a publish of its own, which is rehearsed and applied like any other. What was dropped comes back with its rows; the plan lists what cannot, and may ask."},
		func(ctx context.Context, who holdfast.Principal, in *revertInput) (api.Publish, error) {
			v, err := p.RevertPublish(ctx, who, in.Project, in.number(), in.answers())
			return viewPublish(v), err
		})
	addJob(s, route{method: http.MethodPost, path: api.PublishAdoptPath, id: "adopt-schema", rule: toDevelop, tag: "publish", summary: "Take into development what only production has or has changed",
		about: "What development has changed stays. A checkpoint of development is made first."},
		func(ctx context.Context, who holdfast.Principal, in *adoptInput) (holdfast.Job, error) {
			return p.AdoptSchema(ctx, who, in.Project, in.Body.Objects)
		})
	addList(s, route{method: http.MethodGet, path: api.PublishLogPath, id: "get-publish-log", rule: toSee, tag: "publish", summary: "What happened while a publish was rehearsed and applied"},
		func(ctx context.Context, who holdfast.Principal, in *PublishPath) ([]api.PublishEvent, error) {
			events, err := p.PublishLog(ctx, who, in.Project, in.number())
			return mapped(events, viewPublishEvent), err
		})
}

func (s *Server) publishHookRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.PublishHooksPath, id: "get-publish-hooks", rule: toSee, tag: "publish", summary: "A project's own checks of rehearsals"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) (api.PublishHooks, error) {
			h, err := p.PublishHooks(ctx, who, in.Project)
			return api.PublishHooks{Command: h.Command, CommandTimeout: api.Seconds(h.CommandTimeout), URL: h.URL, URLTimeout: api.Seconds(h.URLTimeout), AllowPrivate: h.AllowPrivate}, err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.PublishHooksPath, id: "set-publish-hooks", rule: toAdminister, tag: "publish", summary: "Replace a project's own checks of rehearsals",
		about: "A command, and a URL in a private network, take the right to change the installation."},
		func(ctx context.Context, who holdfast.Principal, in *publishHooksInput) error {
			h := in.Body
			return p.SetPublishHooks(ctx, who, in.Project, holdfast.Hooks{Command: h.Command, CommandTimeout: time.Duration(h.CommandTimeout) * time.Second, URL: h.URL,
				URLTimeout: time.Duration(h.URLTimeout) * time.Second, AllowPrivate: h.AllowPrivate})
		})
}

func (s *Server) schemaRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.SchemaPath, id: "dump-schema", rule: toSee, tag: "schema", summary: "A branch's structure as SQL"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.SchemaDump, error) {
			text, err := p.DumpSchema(ctx, who, in.ref())
			return api.SchemaDump{SQL: text}, err
		})
	addList(s, route{method: http.MethodPost, path: api.SchemaLintPath, id: "lint-schema", rule: forCallers, body: 4 << 20, tag: "schema", summary: "What can hurt a database in use when a migration script runs", about: "Nothing is run."},
		func(_ context.Context, _ holdfast.Principal, in *lintInput) ([]api.LintFinding, error) {
			var out []api.LintFinding
			for _, f := range p.LintSchema(in.Body.SQL) {
				out = append(out, api.LintFinding{Line: f.Line, Statement: f.Statement, Class: string(f.Class), Lock: string(f.Lock), Why: f.Why, Better: f.Better})
			}
			return out, nil
		})
	add(s, route{method: http.MethodPost, path: api.SchemaDiffPath, id: "diff-schemas", rule: toSee, tag: "schema", summary: "What would lead from one branch's structure to another's", about: "It is shown only; neither branch is changed."},
		func(ctx context.Context, who holdfast.Principal, in *schemaDiffInput) (api.Plan, error) {
			from, err := holdfast.ParseBranchRef(in.Body.From)
			if err != nil {
				return api.Plan{}, err
			}
			to, err := holdfast.ParseBranchRef(in.Body.To)
			if err != nil {
				return api.Plan{}, err
			}
			plan, err := p.DiffSchemas(ctx, who, from, to)
			if err != nil {
				return api.Plan{}, err
			}
			return *viewPlan(plan), nil
		})
}

func viewPublish(v platform.PublishView) api.Publish {
	out := api.Publish{Project: v.Project, Number: v.Number, Kind: string(v.Kind), State: string(v.State), Error: v.Error, Statements: v.Statements, Hazards: list(v.Hazards), Allowed: list(v.Allowed),
		Maintenance: v.Maintenance, Reverts: v.Reverts, RevertedBy: v.RevertedBy, Author: v.Author, Approver: v.Approver, Checkpoint: string(v.Checkpoint), Job: string(v.Job),
		CreatedAt: v.CreatedAt, PlannedAt: v.PlannedAt, RehearsedAt: v.RehearsedAt, StartedAt: v.StartedAt, EndedAt: v.EndedAt, GraceUntil: v.GraceUntil}
	if v.Preview != "" {
		out.Preview = holdfast.BranchRef{Project: v.Project, Branch: v.Preview}.String()
	}
	if v.Plan != nil {
		out.Plan, out.Answers = viewPlan(v.Plan), v.AnswerList()
	}
	if v.Report != nil {
		out.Report = viewReport(v.Report)
	}
	return out
}

// list is never nil: nothing is [] in JSON.
func list(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

func viewPlan(plan *platform.Plan) *api.Plan {
	out := &api.Plan{Statements: []api.PlanStatement{}, Notes: plan.Notes, Lost: plan.Lost}
	for _, st := range plan.Statements {
		v := api.PlanStatement{SQL: st.SQL, Object: st.Object.String(), Description: st.Description, Class: string(st.Class()), Lock: string(st.Lock), Transactional: st.Transactional, Group: st.Group}
		for _, h := range st.Hazards {
			v.Hazards = append(v.Hazards, api.PlanHazard{Class: string(h.Class), Text: h.Text})
		}
		for _, t := range st.Locks {
			v.Tables = append(v.Tables, t.Label())
		}
		out.Statements = append(out.Statements, v)
	}
	for _, r := range plan.Renames {
		v := api.PlanRename{From: r.From.String(), To: r.To.String(), Why: r.Why}
		if r.Label != "" {
			v.From, v.To = v.From+" value "+holdfast.QuoteLiteral(r.Label), v.To+" value "+holdfast.QuoteLiteral(r.NewLabel)
		}
		out.Renames = append(out.Renames, v)
	}
	for _, q := range plan.Questions {
		out.Questions = append(out.Questions, api.PlanQuestion{ID: q.ID, Text: q.Text, Answers: q.Answers})
	}
	for _, d := range plan.Drift {
		v := api.PlanDrift{Object: d.Object.String(), Kind: string(d.Kind), Text: d.Text}
		if v.Kind == "added in production" {
			v.Drop = "drop:" + d.Object.Label()
		}
		out.Drift = append(out.Drift, v)
	}
	for _, problem := range plan.Problems {
		out.Problems = append(out.Problems, api.PlanProblem{Object: problem.Object.String(), Reason: problem.Reason})
	}
	return out
}
