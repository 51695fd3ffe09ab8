package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

// Job is a job's row: what everybody may see, and what is needed to run it again.
type Job struct {
	holdfast.Job
	Input    []byte // JSON, sealed on disk
	Attempts int    // how often it was started
}

const jobColumns = `id, kind, project_id, branch_id, subject, state, step, step_index, step_count, done, total, unit, error, error_kind,
	result, actor, attempts, created_at, started_at, ended_at`

func scanJob(extra ...any) func(scanner) (Job, error) {
	return func(row scanner) (Job, error) {
		var j Job
		var kind string
		var created, started, ended int64
		err := row.Scan(append([]any{&j.ID, &j.Kind, &j.ProjectID, &j.BranchID, &j.Subject, &j.State, &j.Step, &j.StepIndex, &j.StepCount,
			&j.Done, &j.Total, &j.Unit, &j.Error, &kind, &j.Result, &j.Actor, &j.Attempts, &created, &started, &ended}, extra...)...)
		j.ErrorKind = holdfast.ParseKind(kind)
		j.CreatedAt, j.StartedAt, j.EndedAt = fromMicros(created), fromMicros(started), fromMicros(ended)
		return j, err
	}
}

// InsertJob adds a job.
func (tx *Tx) InsertJob(j Job) error {
	sealed, err := tx.seal.seal(jobInputName(j.ID), j.Input)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO jobs (`+jobColumns+`, input) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		j.ID, j.Kind, j.ProjectID, j.BranchID, j.Subject, j.State, j.Step, j.StepIndex, j.StepCount, j.Done, j.Total, j.Unit, j.Error,
		j.ErrorKind.String(), j.Result, j.Actor, j.Attempts, toMicros(j.CreatedAt), toMicros(j.StartedAt), toMicros(j.EndedAt), sealed)
}

// UpdateJob writes what can change of a job: everything but its kind, its input and who asked.
func (tx *Tx) UpdateJob(j Job) error {
	return tx.must("job "+string(j.ID), `UPDATE jobs SET project_id = ?, branch_id = ?, state = ?, step = ?, step_index = ?, step_count = ?, done = ?, total = ?, unit = ?,
		error = ?, error_kind = ?, result = ?, attempts = ?, started_at = ?, ended_at = ? WHERE id = ?`,
		j.ProjectID, j.BranchID, j.State, j.Step, j.StepIndex, j.StepCount, j.Done, j.Total, j.Unit, j.Error, j.ErrorKind.String(), j.Result, j.Attempts,
		toMicros(j.StartedAt), toMicros(j.EndedAt), j.ID)
}

// Job finds a job without its input.
func (tx *Tx) Job(id holdfast.JobID) (holdfast.Job, error) {
	j, err := one(tx, "job "+string(id), scanJob(), `SELECT `+jobColumns+` FROM jobs WHERE id = ?`, id)
	return j.Job, err
}

// Jobs lists the newest jobs, at most limit; project may be empty for those of every project.
func (tx *Tx) Jobs(project holdfast.ProjectID, limit int) ([]holdfast.Job, error) {
	return collect(tx, func(row scanner) (holdfast.Job, error) {
		j, err := scanJob()(row)
		return j.Job, err
	}, `SELECT `+jobColumns+` FROM jobs WHERE ? = '' OR project_id = ? ORDER BY created_at DESC, id LIMIT ?`, project, project, limit)
}

// UnfinishedJobs lists the jobs that have not ended, the oldest first, with their inputs.
func (tx *Tx) UnfinishedJobs() ([]Job, error) {
	jobs, err := collect(tx, func(row scanner) (Job, error) {
		var sealed []byte
		j, err := scanJob(&sealed)(row)
		j.Input = sealed
		return j, err
	}, `SELECT `+jobColumns+`, input FROM jobs WHERE ended_at = 0 ORDER BY created_at, id`)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if jobs[i].Input, err = tx.seal.open(jobInputName(jobs[i].ID), jobs[i].Input); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// AddJobLine appends a line to a job's log and returns its number, from 1.
func (tx *Tx) AddJobLine(id holdfast.JobID, at time.Time, text string) (int64, error) {
	var seq int64
	err := tx.tx.QueryRowContext(tx.ctx, `INSERT INTO job_lines (job_id, seq, at, text)
		VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM job_lines WHERE job_id = ?), ?, ?) RETURNING seq`, id, id, toMicros(at), text).Scan(&seq)
	return seq, err
}

// JobLines lists the lines of a job's log after number `after`, at most limit.
func (tx *Tx) JobLines(id holdfast.JobID, after int64, limit int) ([]holdfast.JobLine, error) {
	return collect(tx, func(row scanner) (holdfast.JobLine, error) {
		var l holdfast.JobLine
		var at int64
		err := row.Scan(&l.Seq, &at, &l.Text)
		l.At = fromMicros(at)
		return l, err
	}, `SELECT seq, at, text FROM job_lines WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?`, id, after, limit)
}

func jobInputName(id holdfast.JobID) string { return "job/" + string(id) }

// LastJobs lists the jobs of a kind that ended, the newest first, at most limit.
func (tx *Tx) LastJobs(kind string, limit int) ([]holdfast.Job, error) {
	return collect(tx, func(row scanner) (holdfast.Job, error) {
		j, err := scanJob()(row)
		return j.Job, err
	}, `SELECT `+jobColumns+` FROM jobs WHERE kind = ? AND ended_at > 0 ORDER BY created_at DESC, id LIMIT ?`, kind, limit)
}
