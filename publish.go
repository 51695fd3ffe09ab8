package holdfast

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// PublishState is where a publish stands.
type PublishState string

// The states of a publish. Failed and Reverted are final; Published can only be reverted.
const (
	PublishDraft      PublishState = "draft"        // it has a number and no plan yet
	PublishPlanned    PublishState = "planned"      // the plan can be rehearsed
	PublishNeeds      PublishState = "needs answer" // the plan has questions that a person must answer
	PublishBlocked    PublishState = "blocked"      // something stands in the way; the report or the plan names it
	PublishRehearsing PublishState = "rehearsing"
	PublishReady      PublishState = "ready" // rehearsed with success: it may be applied
	PublishApplying   PublishState = "applying"
	PublishPublished  PublishState = "published"
	PublishFailed     PublishState = "failed" // given up or canceled; production is as it was before
	PublishReverted   PublishState = "reverted"
)

// publishMoves are the states that each state can become.
var publishMoves = map[PublishState][]PublishState{
	PublishDraft:      {PublishPlanned, PublishNeeds, PublishBlocked, PublishFailed},
	PublishPlanned:    {PublishPlanned, PublishNeeds, PublishBlocked, PublishRehearsing, PublishFailed},
	PublishNeeds:      {PublishPlanned, PublishNeeds, PublishBlocked, PublishFailed},
	PublishBlocked:    {PublishPlanned, PublishNeeds, PublishBlocked, PublishRehearsing, PublishFailed},
	PublishRehearsing: {PublishReady, PublishBlocked, PublishPlanned, PublishFailed},
	PublishReady:      {PublishPlanned, PublishNeeds, PublishBlocked, PublishRehearsing, PublishApplying, PublishFailed},
	PublishApplying:   {PublishPublished, PublishFailed, PublishPlanned},
	PublishPublished:  {PublishReverted},
}

// CanBecome says whether a publish in state s may go over to next.
func (s PublishState) CanBecome(next PublishState) bool {
	return slices.Contains(publishMoves[s], next)
}

// Open says whether the publish has changed nothing yet and still can.
func (s PublishState) Open() bool {
	return s != PublishApplying && s != PublishPublished && s != PublishFailed && s != PublishReverted
}

// PublishKind is where a publish's statements come from.
type PublishKind string

// The kinds of publishes.
const (
	PublishSchema     PublishKind = "schema"     // development compared with production
	PublishMigrations PublishKind = "migrations" // files of a migration tool
	PublishRevert     PublishKind = "revert"     // the way back of an earlier publish
	PublishExpand     PublishKind = "expand"     // new columns beside the old ones, filled and kept alike
	PublishSwitch     PublishKind = "switch"     // the new columns become the real ones, and the old ones stay
	PublishContract   PublishKind = "contract"   // the old columns go
)

// Phase says whether the publish is one of those by which columns are expanded and contracted.
func (k PublishKind) Phase() bool {
	return k == PublishExpand || k == PublishSwitch || k == PublishContract
}

// Publish is one change of production's structure, from the plan to its grace period. Its number counts within the project.
type Publish struct {
	ProjectID   ProjectID
	Number      int
	Kind        PublishKind
	State       PublishState
	Reverts     int      // the publish that this one takes back; 0: none
	RevertedBy  int      // the publish that took this one back; 0: none
	Statements  int      // in the plan
	Hazards     []string // the classes of hazards in the plan, the worst first
	Author      string
	Approver    string // who let it be applied
	Allowed     []string
	Maintenance bool   // clients are held at the front door while it is applied
	Error       string // why it is blocked or failed
	From, To    string // fingerprints of production as it was planned for, and as it will be
	Development string // fingerprint of development when it was planned
	Preview     string // the branch that it was rehearsed on, while that is kept
	Checkpoint  CheckpointID
	Transaction uint64 // the number of production's next transaction before it was applied
	Job         JobID  // the last one that worked on it
	CreatedAt   time.Time
	PlannedAt   time.Time
	RehearsedAt time.Time
	StartedAt   time.Time // of being applied
	EndedAt     time.Time
	GraceUntil  time.Time // until then what was dropped is only set aside; zero: not published
	Purged      bool      // what was set aside is gone
}

// Become changes the state, or refuses a change that the rules do not know.
func (p *Publish) Become(next PublishState) error {
	if !p.State.CanBecome(next) {
		return &Error{Kind: Conflict, Message: fmt.Sprintf("publish %d is %s and cannot become %s", p.Number, p.State, next)}
	}
	p.State = next
	return nil
}

// PublishGrace is how long what a publish drops is only set aside.
const PublishGrace = 7 * 24 * time.Hour

// RehearsalPrefix begins the names of the copies of production that publishes are rehearsed on.
const RehearsalPrefix = "rehearsal_"

// IsRehearsal says whether the branch is a copy of production that a publish was rehearsed on. It shows production's rows.
func (b Branch) IsRehearsal() bool {
	return b.Environment == Preview && strings.HasPrefix(b.Name, RehearsalPrefix)
}

// PublishDoc names one of the texts that belong to a publish.
type PublishDoc string

// The texts of a publish.
const (
	PublishPlanDoc   PublishDoc = "plan"
	PublishReportDoc PublishDoc = "report"
	PublishResultDoc PublishDoc = "result"
	PublishBeforeDoc PublishDoc = "before" // production's catalogue before it was applied
	PublishDumpDoc   PublishDoc = "dump"   // the structure that production shall have, as pg_dump writes it
	PublishOldDoc    PublishDoc = "old"    // the structure that production had before, as pg_dump writes it
	PublishFilesDoc  PublishDoc = "files"  // the migrations that it runs
	PublishSourceDoc PublishDoc = "source" // development's catalogue as it was planned with
	PublishBaseDoc   PublishDoc = "base"   // the baseline that there was before it

	PublishExpansionDoc PublishDoc = "expansion" // how columns are expanded, for all phases
)
