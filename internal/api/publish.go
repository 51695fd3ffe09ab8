package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// Publish is one change of production's structure.
type Publish struct {
	Project     string    `json:"project" example:"shop"`
	Number      int       `json:"number" doc:"Counts within the project." example:"7"`
	Kind        string    `json:"kind" enum:"schema,migrations,revert,expand,switch,contract" doc:"Where its statements come from: development, files of a migration tool, or an earlier publish that it takes back. The last three are the phases of expand and contract."`
	State       string    `json:"state" enum:"draft,planned,needs answer,blocked,rehearsing,ready,applying,published,failed,reverted"`
	Error       string    `json:"error,omitempty" doc:"Why it is blocked or failed, for a person."`
	Statements  int       `json:"statements" doc:"How many the plan has; 0: nothing is to be done."`
	Hazards     []string  `json:"hazards" nullable:"false" doc:"The classes of hazards in the plan, the worst first: blocked by data, lossy, breaks running code, rewrites, locking."`
	Allowed     []string  `json:"allowed" nullable:"false" doc:"The classes of hazards that somebody allowed."`
	Maintenance bool      `json:"maintenance" doc:"It was planned for clients that are held at the front door meanwhile."`
	Reverts     int       `json:"reverts,omitempty" doc:"The publish that it takes back."`
	RevertedBy  int       `json:"reverted_by,omitempty" doc:"The publish that took it back."`
	Author      string    `json:"author"`
	Approver    string    `json:"approver,omitempty" doc:"Who let it be applied."`
	Preview     string    `json:"preview,omitempty" doc:"The branch that it was rehearsed on, while that is kept." example:"shop/rehearsal_7"`
	Checkpoint  string    `json:"checkpoint,omitempty" doc:"Of production before it was applied."`
	Job         string    `json:"job,omitempty" doc:"The last one that worked on it."`
	CreatedAt   time.Time `json:"created_at"`
	PlannedAt   time.Time `json:"planned_at,omitzero"`
	RehearsedAt time.Time `json:"rehearsed_at,omitzero"`
	StartedAt   time.Time `json:"started_at,omitzero" doc:"When applying it began."`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	GraceUntil  time.Time `json:"grace_until,omitzero" doc:"Until then what it dropped is only set aside, and it can be reverted."`

	Answers []string `json:"answers,omitempty" doc:"To questions of the plan, as they were given. Not in lists."`
	Plan    *Plan    `json:"plan,omitempty" doc:"Not in lists."`
	Report  *Report  `json:"report,omitempty" doc:"What the last rehearsal found. Not in lists."`
}

// Final says whether nothing more happens to it but a revert.
func (p Publish) Final() bool {
	s := holdfast.PublishState(p.State)
	return !s.Open() && s != holdfast.PublishApplying
}

// Plan is what a publish does, in order.
type Plan struct {
	Statements []PlanStatement `json:"statements" nullable:"false"`
	Renames    []PlanRename    `json:"renames,omitempty" doc:"What keeps its content under another name."`
	Questions  []PlanQuestion  `json:"questions,omitempty" doc:"What a person must answer before it is rehearsed."`
	Drift      []PlanDrift     `json:"drift,omitempty" doc:"How production differs from what was published last."`
	Problems   []PlanProblem   `json:"problems,omitempty" doc:"What cannot be carried."`
	Notes      []string        `json:"notes,omitempty"`
	Lost       []string        `json:"lost,omitempty" doc:"What a plan that leads back cannot bring back."`
}

// PlanStatement is one statement of a plan.
type PlanStatement struct {
	SQL           string       `json:"sql"`
	Object        string       `json:"object" example:"column public.users.name"`
	Description   string       `json:"description" doc:"What it does, in plain words."`
	Class         string       `json:"class" enum:"safe,locking,rewrites,lossy,breaks running code,blocked by data" doc:"The worst of its hazards."`
	Hazards       []PlanHazard `json:"hazards,omitempty"`
	Lock          string       `json:"lock,omitempty" doc:"The strongest lock that it takes on tables; left out where none stops readers or writers." example:"ACCESS EXCLUSIVE"`
	Tables        []string     `json:"tables,omitempty" doc:"That it locks."`
	Transactional bool         `json:"transactional" doc:"It shares a transaction with the others of its group; otherwise it commits by itself."`
	Group         int          `json:"group"`
}

// PlanHazard is a reason to look at a statement before it runs.
type PlanHazard struct {
	Class string `json:"class"`
	Text  string `json:"text"`
}

// PlanRename is something that keeps its content under another name.
type PlanRename struct {
	From string `json:"from" example:"column public.users.fullname"`
	To   string `json:"to" example:"column public.users.display_name"`
	Why  string `json:"why" enum:"identity,structure,answer"`
}

// PlanQuestion is a choice that only a person can make.
type PlanQuestion struct {
	ID      string   `json:"id" example:"public.users.fullname"`
	Text    string   `json:"text"`
	Answers []string `json:"answers" nullable:"false" doc:"Each can be given as it stands, the most likely first." example:"[\"rename:public.users.fullname=display_name\"]"`
}

// PlanDrift is a difference between production and what was published last.
type PlanDrift struct {
	Object string `json:"object"`
	Kind   string `json:"kind" enum:"added in production,changed in production,dropped in production,changed in both"`
	Text   string `json:"text"`
	Drop   string `json:"drop,omitempty" doc:"The answer that drops it from production on purpose; only for what production added." example:"drop:public.audit"`
}

// PlanProblem is something that a plan cannot carry.
type PlanProblem struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// NewPublish asks for a plan.
type NewPublish struct {
	Answers      []string `json:"answers,omitempty" doc:"To questions: rename:TABLE.COLUMN=NEW_NAME, drop:OBJECT, using:TABLE.COLUMN=EXPRESSION, fill:TABLE.COLUMN=EXPRESSION. They are kept for the next plan of the same publish."`
	AllowLossy   bool     `json:"allow_lossy,omitempty" doc:"Conversions may cut values that do not fit."`
	Maintenance  bool     `json:"maintenance,omitempty" doc:"Plan for clients that are held meanwhile: fewer statements, which make everybody wait."`
	ZeroDowntime bool     `json:"zero_downtime,omitempty" doc:"Carry renames and type changes of columns by expanding: new columns beside the old ones, kept alike while old and new code run. Planning again after it was applied plans the switch."`
}

// Rehearsal says how a publish is rehearsed.
type Rehearsal struct {
	Keep bool `json:"keep,omitempty" doc:"Keep the copy as a preview branch. It shows production's rows."`
}

// Apply says what somebody consents to.
type Apply struct {
	Allow []string `json:"allow,omitempty" doc:"Classes of hazards: lossy, breaking." example:"[\"breaking\"]"`
}

// NewMigrations asks for a publish of the migrations that production does not have yet.
type NewMigrations struct {
	Tool  string      `json:"tool" enum:"drizzle,prisma,rails,goose,sql" doc:"Whose table of what ran is read and written."`
	Files []Migration `json:"files" nullable:"false" minItems:"1" doc:"In the order in which they run."`
}

// Migration is one file of a migration tool.
type Migration struct {
	Name    string `json:"name" minLength:"1" doc:"Of the file; of the folder with Prisma." example:"0001_orders.sql"`
	Version int64  `json:"version,omitempty" doc:"What the tool orders by: the number in the name, or with Drizzle the time in its journal."`
	SQL     string `json:"sql" example:"ALTER TABLE orders ADD note text"`
}

// PublishHooks are a project's own checks of rehearsals.
type PublishHooks struct {
	Command        string `json:"command,omitempty" doc:"For a shell on the server's machine, with DATABASE_URL in its environment. Setting it takes the right to change the installation." example:"cd /srv/shop && make smoke-test"`
	CommandTimeout int64  `json:"command_timeout_seconds,omitempty" doc:"0: five minutes." maximum:"3600" minimum:"0"`
	URL            string `json:"url,omitempty" doc:"Is sent a POST with the DATABASE_URL; any answer but 2xx blocks the publish." example:"https://ci.example.com/check"`
	URLTimeout     int64  `json:"url_timeout_seconds,omitempty" doc:"0: five minutes." maximum:"3600" minimum:"0"`
	AllowPrivate   bool   `json:"allow_private,omitempty" doc:"The URL may lead to this machine or into a private network. Setting it takes the right to change the installation."`
}

// Adopt says what to take over from production.
type Adopt struct {
	Objects []string `json:"objects,omitempty" doc:"As the drift of a plan names them; none: all of it." example:"[]"`
}

// Script is SQL that is looked at and not run.
type Script struct {
	SQL string `json:"sql" example:"CREATE INDEX ON orders (customer)"`
}

// LintFinding is a statement of a script that deserves a look.
type LintFinding struct {
	Line      int    `json:"line" doc:"Where the statement begins, from 1."`
	Statement string `json:"statement"`
	Class     string `json:"class" enum:"safe,locking,rewrites,lossy,breaks running code,blocked by data,refused by the server"`
	Lock      string `json:"lock,omitempty"`
	Why       string `json:"why"`
	Better    string `json:"better,omitempty" doc:"What to write instead."`
}

// SchemaDump is a branch's structure.
type SchemaDump struct {
	SQL string `json:"sql" doc:"As pg_dump --schema-only writes it."`
}

// SchemaDiff names two branches whose structures are compared.
type SchemaDiff struct {
	From string `json:"from" example:"shop/production"`
	To   string `json:"to" example:"shop/development"`
}

// RehearsePublish begins to run a publish on a copy of production; number 0 is the newest.
func (c *Client) RehearsePublish(ctx context.Context, project string, number int, ask Rehearsal) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, publishPath(PublishRehearsePath, project, number), ask)
}

// ApplyPublish begins to run a rehearsed publish on production; number 0 is the newest.
func (c *Client) ApplyPublish(ctx context.Context, project string, number int, ask Apply) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, publishPath(PublishApplyPath, project, number), ask)
}

// PlanMigrations plans a publish of migrations.
func (c *Client) PlanMigrations(ctx context.Context, project string, ask NewMigrations) (Publish, error) {
	return call[Publish](ctx, c, http.MethodPost, Path(PublishMigrationsPath, project), ask)
}

// ContractPublish plans the last phase of expand and contract; number 0 is the expansion that production is in.
func (c *Client) ContractPublish(ctx context.Context, project string, number int) (Publish, error) {
	return call[Publish](ctx, c, http.MethodPost, publishPath(PublishContractPath, project, number), nil)
}

// RevertPublish answers the questions of a way back.
type RevertPublish struct {
	Answers []string `json:"answers,omitempty" doc:"To questions, such as fill:TABLE.COLUMN=EXPRESSION for rows that were written since without a value. They are kept for the next plan of the same way back."`
}

// RevertPublish plans the way back of a publish as a publish of its own.
func (c *Client) RevertPublish(ctx context.Context, project string, number int, answers []string) (Publish, error) {
	return call[Publish](ctx, c, http.MethodPost, publishPath(PublishRevertPath, project, number), RevertPublish{answers})
}

// PublishLog shows what happened while a publish was rehearsed and applied.
func (c *Client) PublishLog(ctx context.Context, project string, number int) ([]PublishEvent, error) {
	return list[PublishEvent](ctx, c, publishPath(PublishLogPath, project, number))
}

// AdoptSchema begins to take into development what only production has or has changed.
func (c *Client) AdoptSchema(ctx context.Context, project string, ask Adopt) (Job, error) {
	return call[Job](ctx, c, http.MethodPost, Path(PublishAdoptPath, project), ask)
}

// LintSchema lists what can hurt a database in use when a migration script runs.
func (c *Client) LintSchema(ctx context.Context, script string) ([]LintFinding, error) {
	l, err := call[List[LintFinding]](ctx, c, http.MethodPost, SchemaLintPath, Script{SQL: script})
	return l.Items, err
}

// publishPath names a publish; number 0 is the newest.
func publishPath(template, project string, number int) string {
	if number == 0 {
		return Path(template, project, "latest")
	}
	return Path(template, project, strconv.Itoa(number))
}

// Publishes lists a project's publishes, the newest first.
func (c *Client) Publishes(ctx context.Context, project string) ([]Publish, error) {
	return list[Publish](ctx, c, Path(PublishesPath, project))
}

// Publish returns a publish with its plan; number 0 is the newest.
func (c *Client) Publish(ctx context.Context, project string, number int) (Publish, error) {
	return call[Publish](ctx, c, http.MethodGet, publishPath(PublishPath, project, number), nil)
}

// PlanPublish plans the project's open publish, or a new one.
func (c *Client) PlanPublish(ctx context.Context, project string, ask NewPublish) (Publish, error) {
	return call[Publish](ctx, c, http.MethodPost, Path(PublishesPath, project), ask)
}

// CancelPublish gives a publish up; number 0 is the newest.
func (c *Client) CancelPublish(ctx context.Context, project string, number int) (Publish, error) {
	return call[Publish](ctx, c, http.MethodPost, publishPath(PublishCancelPath, project, number), nil)
}

// PublishHooks shows a project's checks of rehearsals.
func (c *Client) PublishHooks(ctx context.Context, project string) (PublishHooks, error) {
	return call[PublishHooks](ctx, c, http.MethodGet, Path(PublishHooksPath, project), nil)
}

// SetPublishHooks replaces a project's checks of rehearsals.
func (c *Client) SetPublishHooks(ctx context.Context, project string, hooks PublishHooks) error {
	return c.do(ctx, http.MethodPut, Path(PublishHooksPath, project), hooks, nil)
}

// DumpSchema returns a branch's structure as SQL.
func (c *Client) DumpSchema(ctx context.Context, ref holdfast.BranchRef) (SchemaDump, error) {
	return call[SchemaDump](ctx, c, http.MethodGet, refPath(SchemaPath, ref), nil)
}

// DiffSchemas returns the statements that would lead from one branch's structure to another's.
func (c *Client) DiffSchemas(ctx context.Context, from, to holdfast.BranchRef) (Plan, error) {
	return call[Plan](ctx, c, http.MethodPost, SchemaDiffPath, SchemaDiff{From: from.String(), To: to.String()})
}
