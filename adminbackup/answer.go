package adminbackup

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// refused makes a program's own error one that says no more than that it is refused.
func (h *Handler) refused(err error) error {
	var meant *holdfast.Error
	if err == nil || errors.As(err, &meant) {
		return err
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "this is not allowed", Cause: err}
}

func (h *Handler) write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		h.log.Debug("answer a request", "err", err)
	}
}

// refuse answers with a problem as a Holdfast server does: causes stay in the log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	kind := holdfast.KindOf(err)
	p := api.Problem{Type: api.ProblemType(kind.String()), Status: api.StatusOf(kind), Code: kind.String(), Hint: holdfast.HintOf(err), Detail: "something went wrong inside the server"}
	p.Title = http.StatusText(p.Status)
	var meant *holdfast.Error
	if errors.As(err, &meant) {
		p.Detail = meant.Message
	}
	if p.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.log.Error("request failed", "path", r.URL.Path, "err", err)
	}
	w.Header().Set("Content-Type", api.ProblemContentType)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		h.log.Debug("answer a request", "err", err)
	}
}

func viewBackup(b holdfast.Backup) api.Backup {
	out := api.Backup{ID: string(b.ID), Name: b.Name, Project: b.Project, Branch: b.Branch, Status: string(b.State), Format: string(b.Options.Format), DataOnly: b.Options.DataOnly,
		Tables: b.Options.Tables, Counts: viewRecords(b.Tables), Records: b.Records(), Size: b.Size, SHA256: b.SHA256, ServerVersion: b.ServerVersion, Tool: b.Tool,
		CreatedAt: b.StartedAt, SnapshotAt: b.SnapshotAt, CreatedBy: b.By, Reason: b.Reason, Pinned: b.Pinned, Held: b.HeldUntilProof, VerifiedAt: b.VerifiedAt,
		Error: b.Failure, ErrorHint: b.FailureHint}
	if b.State != holdfast.BackupInProgress {
		out.CompletedAt = b.EndedAt
	}
	for _, c := range b.Copies {
		out.Destinations = append(out.Destinations, c.Destination)
	}
	return out
}

func viewRecords(all []holdfast.TableRecords) []api.TableRecords {
	out := []api.TableRecords{}
	for _, t := range all {
		out = append(out, api.TableRecords{Schema: t.Schema, Table: t.Name, Records: t.Records})
	}
	return out
}
