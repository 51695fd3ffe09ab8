package store

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast/holdfast"
)

// InsertPublish adds a publish and gives it the project's next number.
func (tx *Tx) InsertPublish(p *holdfast.Publish) error {
	if err := tx.tx.QueryRowContext(tx.ctx, `SELECT coalesce(max(number), 0) + 1 FROM publishes WHERE project_id = ?`, p.ProjectID).Scan(&p.Number); err != nil {
		return err
	}
	detail, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO publishes (project_id, number, state, detail) VALUES (?, ?, ?, ?)`, p.ProjectID, p.Number, p.State, string(detail))
}

// UpdatePublish writes a publish as it is now.
func (tx *Tx) UpdatePublish(p holdfast.Publish) error {
	detail, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return tx.must(publishName(p.Number), `UPDATE publishes SET state = ?, detail = ? WHERE project_id = ? AND number = ?`, p.State, string(detail), p.ProjectID, p.Number)
}

func publishName(number int) string { return fmt.Sprintf("publish %d", number) }

func scanPublish(row scanner) (holdfast.Publish, error) {
	var p holdfast.Publish
	var detail string
	if err := row.Scan(&detail); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(detail), &p)
}

// Publish finds a publish of a project.
func (tx *Tx) Publish(project holdfast.ProjectID, number int) (holdfast.Publish, error) {
	return one(tx, publishName(number), scanPublish, `SELECT detail FROM publishes WHERE project_id = ? AND number = ?`, project, number)
}

// Publishes lists a project's publishes, the newest first, at most limit.
func (tx *Tx) Publishes(project holdfast.ProjectID, limit int) ([]holdfast.Publish, error) {
	return collect(tx, scanPublish, `SELECT detail FROM publishes WHERE project_id = ? ORDER BY number DESC LIMIT ?`, project, limit)
}

// PublishesIn lists the publishes of every project that are in a state.
func (tx *Tx) PublishesIn(state holdfast.PublishState) ([]holdfast.Publish, error) {
	return collect(tx, scanPublish, `SELECT detail FROM publishes WHERE state = ? ORDER BY project_id, number`, state)
}

// SetPublishDoc keeps a text of a publish; a later one of the same name replaces it.
func (tx *Tx) SetPublishDoc(project holdfast.ProjectID, number int, name holdfast.PublishDoc, body []byte) error {
	packed, err := pack(body)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO publish_documents (project_id, number, name, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (project_id, number, name) DO UPDATE SET body = excluded.body`, project, number, name, packed)
}

// PublishDoc reads a text of a publish; nil when there is none.
func (tx *Tx) PublishDoc(project holdfast.ProjectID, number int, name holdfast.PublishDoc) ([]byte, error) {
	return tx.unpacked(`SELECT body FROM publish_documents WHERE project_id = ? AND number = ? AND name = ?`, project, number, name)
}

// DeletePublishDoc forgets a text of a publish. Absent is fine.
func (tx *Tx) DeletePublishDoc(project holdfast.ProjectID, number int, name holdfast.PublishDoc) error {
	return tx.exec(`DELETE FROM publish_documents WHERE project_id = ? AND number = ? AND name = ?`, project, number, name)
}

// unpacked reads one compressed value; nil when the query finds none.
func (tx *Tx) unpacked(query string, args ...any) ([]byte, error) {
	var packed []byte
	err := tx.tx.QueryRowContext(tx.ctx, query, args...).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack a text: %w", err)
	}
	return io.ReadAll(r)
}

func pack(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// SetPublishAnswer keeps what somebody answered to a question of a publish's plan.
func (tx *Tx) SetPublishAnswer(project holdfast.ProjectID, number int, question, answer, actor string, at time.Time) error {
	return tx.exec(`INSERT INTO publish_answers (project_id, number, question, answer, actor, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (project_id, number, question) DO UPDATE SET answer = excluded.answer, actor = excluded.actor, at = excluded.at`,
		project, number, question, answer, actor, toMicros(at))
}

// PublishAnswers are the answers to a publish's questions.
func (tx *Tx) PublishAnswers(project holdfast.ProjectID, number int) (map[string]string, error) {
	all, err := collect(tx, func(row scanner) ([2]string, error) {
		var pair [2]string
		err := row.Scan(&pair[0], &pair[1])
		return pair, err
	}, `SELECT question, answer FROM publish_answers WHERE project_id = ? AND number = ?`, project, number)
	out := map[string]string{}
	for _, pair := range all {
		out[pair[0]] = pair[1]
	}
	return out, err
}

// The two lists that grow while a publish is applied.
const (
	PublishJournal    = "publish_journal"
	PublishStatements = "publish_statements"
)

// AppendPublish adds a JSON text to a list of a publish: PublishJournal or PublishStatements.
func (tx *Tx) AppendPublish(list string, project holdfast.ProjectID, number int, at time.Time, body []byte) error {
	return tx.exec(`INSERT INTO `+list+` (project_id, number, seq, at, body)
		VALUES (?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM `+list+` WHERE project_id = ? AND number = ?), ?, ?)`, project, number, project, number, toMicros(at), string(body))
}

// PublishList reads a list of a publish in the order in which it grew.
func (tx *Tx) PublishList(list string, project holdfast.ProjectID, number int) ([][]byte, error) {
	return collect(tx, func(row scanner) ([]byte, error) {
		var body string
		err := row.Scan(&body)
		return []byte(body), err
	}, `SELECT body FROM `+list+` WHERE project_id = ? AND number = ? ORDER BY seq`, project, number)
}

// ClearPublish empties a list of a publish.
func (tx *Tx) ClearPublish(list string, project holdfast.ProjectID, number int) error {
	return tx.exec(`DELETE FROM `+list+` WHERE project_id = ? AND number = ?`, project, number)
}

// SetBaseline keeps development's catalogue of the moment when production was equal to it.
func (tx *Tx) SetBaseline(project holdfast.ProjectID, number int, catalogue []byte, at time.Time) error {
	packed, err := pack(catalogue)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO baselines (project_id, number, body, at) VALUES (?, ?, ?, ?)
		ON CONFLICT (project_id) DO UPDATE SET number = excluded.number, body = excluded.body, at = excluded.at`, project, number, packed, toMicros(at))
}

// Baseline reads a project's baseline; nil when nothing was published yet.
func (tx *Tx) Baseline(project holdfast.ProjectID) ([]byte, error) {
	return tx.unpacked(`SELECT body FROM baselines WHERE project_id = ?`, project)
}

// DeleteBaseline forgets a project's baseline. Absent is fine.
func (tx *Tx) DeleteBaseline(project holdfast.ProjectID) error {
	return tx.exec(`DELETE FROM baselines WHERE project_id = ?`, project)
}

// SetPublishHooks replaces a project's checks of rehearsals.
func (tx *Tx) SetPublishHooks(project holdfast.ProjectID, h holdfast.Hooks) error {
	config, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO publish_hooks (project_id, config) VALUES (?, ?) ON CONFLICT (project_id) DO UPDATE SET config = excluded.config`, project, string(config))
}

// PublishHooks reads a project's checks of rehearsals; none is the zero value.
func (tx *Tx) PublishHooks(project holdfast.ProjectID) (holdfast.Hooks, error) {
	var h holdfast.Hooks
	var config string
	err := tx.tx.QueryRowContext(tx.ctx, `SELECT config FROM publish_hooks WHERE project_id = ?`, project).Scan(&config)
	if errors.Is(err, sql.ErrNoRows) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal([]byte(config), &h)
}

// erasePublishes removes everything of a project's publishes.
func (tx *Tx) erasePublishes(project holdfast.ProjectID) error {
	for _, table := range []string{"publish_hooks", "baselines", PublishStatements, PublishJournal, "publish_answers", "publish_documents", "publishes"} {
		if err := tx.exec(`DELETE FROM `+table+` WHERE project_id = ?`, project); err != nil {
			return err
		}
	}
	return nil
}
