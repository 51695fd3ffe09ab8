package platform

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// AlertAfter is how long a production may be without a verified backup before that is an alert.
const AlertAfter = 48 * time.Hour

// BackupStanding says when a branch was last backed up and proved, and whether the last attempts failed.
type BackupStanding struct {
	Branch      holdfast.BranchRef
	ProjectID   holdfast.ProjectID
	BranchID    holdfast.BranchID
	Environment holdfast.Environment
	Since       time.Time // when the branch was made

	LastCompleted time.Time // when a backup was last completed; zero: never
	LastVerified  time.Time // when a restore of one was last proved; zero: never

	Failing  *BackupFailure // the newest backup failed; nil: it did not
	Unproved *BackupFailure // the newest proof failed; nil: it did not
}

// BackupFailure says what failed and why.
type BackupFailure struct {
	Backup string // its name
	At     time.Time
	Why    string // for a person
}

// WithoutBackup is for how long there has been no completed backup: since the last one, or since the branch was made.
func (s BackupStanding) WithoutBackup(now time.Time) time.Duration {
	return now.Sub(later(s.LastCompleted, s.Since))
}

// WithoutProof is for how long no backup has been proved to restore: since the last proof, or since the branch was made.
func (s BackupStanding) WithoutProof(now time.Time) time.Duration {
	return now.Sub(later(s.LastVerified, s.Since))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// BackupStandings says how every branch stands with its backups, also those that never had one. It asks the metadata only and reads no
// manifest: it may be called every few seconds. Branches that are removed or not made yet are left out.
func (p *Platform) BackupStandings(ctx context.Context) ([]BackupStanding, error) {
	var out []BackupStanding
	err := p.store.View(ctx, func(tx *store.Tx) error {
		branches, err := tx.AllBranches()
		if err != nil {
			return err
		}
		marks, err := tx.BackupMarks()
		if err != nil {
			return err
		}
		type key struct {
			project holdfast.ProjectID
			branch  string
		}
		known := map[key]store.BackupMark{}
		for _, m := range marks {
			known[key{m.ProjectID, m.Branch}] = m
		}
		for _, b := range branches {
			if b.State != store.Ready || !b.DeletedAt.IsZero() {
				continue
			}
			s, err := standingOf(tx, b, known[key{b.ProjectID, b.Name}])
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		return nil
	})
	return out, err
}

func standingOf(tx *store.Tx, b store.Branch, m store.BackupMark) (BackupStanding, error) {
	s := BackupStanding{Branch: b.Ref(), ProjectID: b.ProjectID, BranchID: b.ID, Environment: b.Environment, Since: b.CreatedAt, LastCompleted: m.CompletedAt, LastVerified: m.VerifiedAt}
	if !m.FailedAt.IsZero() {
		failed, err := tx.FailedBackup(b.ProjectID, b.Name)
		if err != nil {
			return s, err
		}
		s.Failing = &BackupFailure{Backup: failed.Name, At: failed.EndedAt, Why: failed.Failure}
	}
	proof, err := tx.LastJob(verifyBackupJob, b.ID)
	if err != nil && holdfast.KindOf(err) != holdfast.NotFound {
		return s, err
	}
	if err == nil && proof.State == holdfast.JobFailed {
		s.Unproved = &BackupFailure{Backup: proof.Subject, At: proof.EndedAt, Why: proof.Error}
	}
	return s, nil
}

// alerts says in words what is wrong. Only production raises any: development can be made again.
func (s BackupStanding) alerts(now time.Time) []string {
	if s.Environment != holdfast.Production {
		return nil
	}
	var out []string
	if s.Failing != nil {
		out = append(out, fmt.Sprintf("the backup %s of %s failed: %s", s.Failing.Backup, s.Branch, s.Failing.Why))
	}
	if s.Unproved != nil {
		out = append(out, fmt.Sprintf("the backup %s of %s could not be verified: %s", s.Unproved.Backup, s.Branch, s.Unproved.Why))
	}
	hours := int(AlertAfter.Hours())
	switch {
	case s.WithoutProof(now) <= AlertAfter:
	case s.LastCompleted.IsZero():
		out = append(out, s.Branch.String()+" has no backup")
	case s.LastVerified.IsZero():
		out = append(out, "no backup of "+s.Branch.String()+" was ever verified")
	default:
		out = append(out, fmt.Sprintf("no backup of %s was verified for more than %d hours", s.Branch, hours))
	}
	return out
}
