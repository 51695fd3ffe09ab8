package adminbackup

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/backup"
)

const (
	maxBody        = 1 << 20
	defaultLimit   = 50
	maxLimit       = 1000
	streamPatience = 2 * time.Minute // how long a download may stand still
)

func invalid(message, hint string) error {
	return &holdfast.Error{Kind: holdfast.Invalid, Message: message, Hint: hint}
}

func (h *Handler) list(r *http.Request) (int, any, error) {
	project, branch := r.URL.Query().Get("project"), r.URL.Query().Get("branch")
	all, err := h.catalogue.List(r.Context())
	if err != nil {
		return 0, nil, err
	}
	answers := map[holdfast.BranchRef]error{}
	var refusal error
	ask := func(ref holdfast.BranchRef) bool {
		answer, known := answers[ref]
		if !known {
			_, answer = h.authorize(r, See, ref)
			answers[ref] = answer
		}
		if answer != nil {
			refusal = h.refused(answer)
		}
		return answer == nil
	}
	allowed := false
	for _, d := range h.config.Databases {
		allowed = ask(d.ref()) || allowed
	}
	out := []api.Backup{}
	for _, b := range all.Backups {
		ref := holdfast.BranchRef{Project: b.Project, Branch: b.Branch}
		if !ask(ref) {
			continue
		}
		allowed = true
		if (project == "" || b.Project == project) && (branch == "" || b.Branch == branch) {
			out = append(out, viewBackup(b))
		}
	}
	if !allowed {
		if refusal == nil { // there is no database
			_, err = h.authorize(r, See, holdfast.BranchRef{})
			refusal = h.refused(err)
		}
		if refusal != nil {
			return 0, nil, refusal
		}
	}
	return http.StatusOK, api.List[api.Backup]{Items: out}, nil
}

func (h *Handler) create(r *http.Request) (int, any, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return 0, nil, invalid("the body is not JSON", "send Content-Type: application/json") // it also keeps forms of foreign pages out
	}
	var ask struct {
		Project string   `json:"project"`
		Branch  string   `json:"branch"`
		Format  string   `json:"format"`
		Tables  []string `json:"tables"`
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		return 0, nil, invalid("the body cannot be read", `send {"project": ..., "branch": ..., "format"?: "json", "tables"?: [...]}`)
	}
	ref := holdfast.BranchRef{Project: ask.Project, Branch: ask.Branch}
	database, who, err := h.database(r, Create, ref)
	if err != nil {
		return 0, nil, err
	}
	if ask.Format == "" {
		ask.Format = string(holdfast.JSONFormat)
	}
	tables := ask.Tables
	if len(tables) == 0 {
		tables = database.Tables
	}
	b, err := h.start(database, holdfast.Backup{Project: ref.Project, Branch: ref.Branch, By: who, Reason: "asked for",
		Options: holdfast.BackupOptions{Format: holdfast.BackupFormat(ask.Format), DataOnly: true, Tables: tables}})
	return http.StatusAccepted, viewBackup(b), err
}

// start makes a backup beside the requests, and returns once it stands in the catalogue.
func (h *Handler) start(d Database, wanted holdfast.Backup) (holdfast.Backup, error) {
	if wanted.Options.Format != holdfast.JSONFormat {
		return wanted, invalid("only backups in JSON can be made here", `leave "format" out, or say "json"`)
	}
	ref := d.ref()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ctx.Err() != nil:
		return wanted, &holdfast.Error{Kind: holdfast.Unavailable, Message: "the program is ending"}
	case h.busy[ref]:
		return wanted, &holdfast.Error{Kind: holdfast.Busy, Message: "a backup of " + ref.String() + " is being made", Hint: "wait until it has ended"}
	}
	h.busy[ref] = true
	type begun struct {
		b   holdfast.Backup
		err error
	}
	first := make(chan begun, 2)
	h.running.Go(func() {
		request := backup.DumpRequest{Database: backup.Database{Name: ref.String()}, Backup: wanted,
			Destinations: []backup.Destination{{Name: "folder", Catalogue: h.catalogue}}, Started: func(b holdfast.Backup) { first <- begun{b: b} }}
		b, err := backup.DumpRows(h.ctx, d.DB, request)
		first <- begun{err: err} // read only when it never stood in the catalogue
		if err != nil {
			h.log.Error("backup failed", "backup", b.Name, "project", ref.Project, "branch", ref.Branch, "err", err)
		}
		h.mu.Lock()
		delete(h.busy, ref)
		h.mu.Unlock()
	})
	got := <-first
	return got.b, got.err
}

func (h *Handler) stats(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	d, _, err := h.database(r, See, holdfast.BranchRef{Project: q.Get("project"), Branch: q.Get("branch")})
	if err != nil {
		return 0, nil, err
	}
	counts, err := backup.CountRows(r.Context(), d.DB, d.Tables)
	if err != nil {
		return 0, nil, err
	}
	out := api.BackupStats{Project: d.Project, Branch: d.Branch, Tables: viewRecords(counts)}
	for _, c := range counts {
		out.Total += c.Records
	}
	return http.StatusOK, out, nil
}

func (h *Handler) get(r *http.Request) (int, any, error) {
	b, err := h.find(r, See)
	return http.StatusOK, viewBackup(b), err
}

// completed refuses a backup that cannot be read.
func completed(b holdfast.Backup) error {
	switch b.State {
	case holdfast.BackupCompleted:
		return nil
	case holdfast.BackupInProgress:
		return &holdfast.Error{Kind: holdfast.Busy, Message: "the backup " + b.Name + " is still being made", Hint: "ask for it until its status is completed"}
	}
	return &holdfast.Error{Kind: holdfast.Precondition, Message: "the backup " + b.Name + " failed: " + b.Failure, Hint: "choose a completed one"}
}

func (h *Handler) data(r *http.Request) (int, any, error) {
	b, err := h.find(r, ReadRows)
	if err == nil {
		err = completed(b)
	}
	if err != nil {
		return 0, nil, err
	}
	page, err := number(r, "page", 1, 1<<40)
	if err != nil {
		return 0, nil, err
	}
	limit, err := number(r, "limit", defaultLimit, maxLimit)
	if err != nil {
		return 0, nil, err
	}
	out := api.BackupData{Tables: viewRecords(b.Tables), Columns: []string{}, Rows: []map[string]*string{}, Page: page, Limit: limit}
	table := r.URL.Query().Get("table")
	for _, t := range b.Tables {
		if table == "" && t.Records > 0 {
			table = holdfast.QuoteQualified(t.Schema, t.Name)
		}
	}
	if table == "" {
		return http.StatusOK, out, nil
	}
	rows, err := h.catalogue.Preview(r.Context(), b, table, (page-1)*limit, limit)
	if err != nil {
		return 0, nil, err
	}
	out.Schema, out.Table, out.Columns = rows.Schema, rows.Name, rows.Columns
	for _, row := range rows.Rows {
		named := make(map[string]*string, len(row))
		for i, value := range row {
			named[rows.Columns[i]] = value
		}
		out.Rows = append(out.Rows, named)
	}
	for _, t := range b.Tables {
		if t.Schema == rows.Schema && t.Name == rows.Name {
			out.Total = t.Records
		}
	}
	return http.StatusOK, out, nil
}

// number reads a number from 1 to most of the query.
func number(r *http.Request, name string, missing, most int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, invalid(name+" is out of bounds", "choose 1 to "+strconv.FormatInt(most, 10))
	}
	return n, nil
}

func (h *Handler) remove(r *http.Request) (int, any, error) {
	b, err := h.find(r, Delete)
	if err != nil {
		return 0, nil, err
	}
	if b.State == holdfast.BackupInProgress {
		return 0, nil, completed(b)
	}
	force, _ := strconv.ParseBool(r.URL.Query().Get("force"))
	return http.StatusNoContent, nil, h.catalogue.Remove(r.Context(), b.Name, force)
}

// download sends the JSON file. When its bytes turn out not to be whole the connection is cut, so that the file does not look whole.
func (h *Handler) download(w http.ResponseWriter, r *http.Request) {
	b, err := h.find(r, ReadRows)
	if err == nil {
		err = completed(b)
	}
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	kept, err := h.catalogue.Open(r.Context(), b)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	file, err := backup.Plain(kept) // closes what is below it
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": b.Name + ".json"}))
	w.WriteHeader(http.StatusOK)
	stream := http.NewResponseController(w)
	buffer := make([]byte, 256<<10)
	for {
		n, err := file.Read(buffer)
		if n > 0 {
			_ = stream.SetWriteDeadline(time.Now().Add(streamPatience)) // where the server has none, the download only has no limit
			if _, failed := w.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			if r.Context().Err() == nil {
				h.log.Warn("send a backup", "backup", b.Name, "err", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
}
