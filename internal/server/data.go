package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// maxEditBytes bounds a request of edits, which may hold long texts.
const maxEditBytes = 32 << 20

type editInput struct {
	BranchPath
	Body api.RowEdits
}

type sqlExportInput struct {
	BranchPath
	Body api.SQLExport
}

type saveInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.SaveItem
}

type savedListPath struct {
	Project string `path:"project" example:"shop"`
}

type savedPath struct {
	Project string `path:"project" example:"shop"`
	ID      string `path:"id"`
}

func (s *Server) dataRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodPost, path: api.RowsPath, id: "save-rows", rule: toDevelop, tag: "data", summary: "Change rows, as a whole or not at all", body: maxEditBytes,
		about: "Each change is made on its row as it was read; a row that changed meanwhile is a conflict, and then nothing is saved. What the rows were and are goes into the audit trail. On production it takes `editing` first, and is never for an agent. It wakes the branch."},
		func(ctx context.Context, who holdfast.Principal, in *editInput) (api.SavedRows, error) {
			saved, err := p.SaveRows(ctx, who, in.ref(), mapped(in.Body.Changes, func(e api.RowEdit) platform.RowEdit {
				return platform.RowEdit{Kind: platform.EditKind(e.Kind), Table: e.Table, Old: e.Old, Set: e.Set}
			}), in.Body.Trial)
			return viewSavedRows(saved), err
		})
	add(s, route{method: http.MethodPost, path: api.EditingPath, id: "open-editing", rule: toDevelop, tag: "data", summary: "Ask to edit rows",
		about: "On production it holds for 15 minutes, for who asks alone; elsewhere it is not needed."},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.EditingAllowed, error) {
			until, err := p.OpenEditing(ctx, who, in.ref())
			if err != nil || until.IsZero() {
				return api.EditingAllowed{}, err
			}
			return api.EditingAllowed{Until: &until}, nil
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.EditingPath, id: "close-editing", rule: toDevelop, tag: "data", summary: "Edit no more"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) error {
			return p.CloseEditing(ctx, who, in.ref())
		})
	s.exportRoute()
	addList(s, route{method: http.MethodGet, path: api.SavedPath, id: "list-saved", rule: toSee, tag: "data", summary: "The views and queries that you keep for a project"},
		func(ctx context.Context, who holdfast.Principal, in *savedListPath) ([]api.SavedItem, error) {
			items, err := p.Saved(ctx, who, in.Project)
			return mapped(items, viewSavedItem), err
		})
	add(s, route{method: http.MethodPut, path: api.SavedPath, id: "save-item", rule: toSee, tag: "data", summary: "Keep a view or a query", body: 1 << 20,
		about: "For yourself. What has the same kind, table and name is replaced."},
		func(ctx context.Context, who holdfast.Principal, in *saveInput) (api.SavedItem, error) {
			item, err := p.Save(ctx, who, in.Project, platform.SavedItem{Kind: in.Body.Kind, Table: in.Body.Table, Name: in.Body.Name, Body: in.Body.Body})
			return viewSavedItem(item), err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.SavedOnePath, id: "forget-item", rule: toSee, tag: "data", summary: "Forget a view or a query that you keep"},
		func(ctx context.Context, who holdfast.Principal, in *savedPath) error {
			return p.Forget(ctx, who, in.Project, in.ID)
		})
}

func viewSavedItem(i platform.SavedItem) api.SavedItem {
	return api.SavedItem{ID: i.ID, Kind: i.Kind, Table: i.Table, Name: i.Name, Body: i.Body, UpdatedAt: i.UpdatedAt}
}

func viewSavedRows(s platform.SavedRows) api.SavedRows {
	return api.SavedRows{Saved: s.Saved, Undo: s.Undo,
		Changes: mapped(s.Edits, func(e platform.RowEdited) api.SavedRow {
			return api.SavedRow{Kind: string(e.Kind), Table: e.Table, Row: e.Row, Before: e.Before, After: e.After, SQL: e.SQL}
		}),
		Conflicts: mapped(s.Conflicts, func(c platform.EditConflict) api.RowConflict {
			return api.RowConflict{Change: c.Edit, Table: c.Table, Row: c.Row, Gone: c.Gone, Alike: c.Alike, Then: c.Then, Now: c.Now}
		})}
}

func (s *Server) exportRoute() {
	file := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	op := route{method: http.MethodPost, path: api.SQLExportPath, id: "export-sql", rule: toReadRows, tag: "sql", summary: "The rows of a query as a file",
		about: "Streamed, whatever its size. It reads only. A stream that is cut is not whole. In a workbook, numbers that Excel would round are text.", body: maxSQLBytes}.operation()
	op.Responses = map[string]*huma.Response{"200": {Description: "The rows", Content: map[string]*huma.MediaType{
		api.CSVContentType: {Schema: file}, "application/json": {Schema: file}, api.XLSXContentType: {Schema: file}}}}
	huma.Register(s.api, op, func(ctx context.Context, in *sqlExportInput) (*huma.StreamResponse, error) {
		who := principal(ctx)
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			s.exportSQL(ctx, who, in, w)
		}}, nil
	})
}

func (s *Server) exportSQL(ctx context.Context, who holdfast.Principal, in *sqlExportInput, w http.ResponseWriter) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	media := map[string]string{"csv": api.CSVContentType, "json": "application/json", "xlsx": api.XLSXContentType}[in.Body.Format]
	out := &patientWriter{w: w, control: http.NewResponseController(w), media: media}
	_ = out.control.SetReadDeadline(time.Time{})                               // the request was read; a writer that has none, as in a test, is fine
	_ = out.control.SetWriteDeadline(time.Now().Add(platform.MaxQueryTimeout)) // until the first row is there
	_, err := s.config.Platform.ExportQuery(ctx, who, in.ref(), in.Body.ID, in.Body.SQL, in.Body.Format, out)
	switch {
	case err != nil && !out.begun:
		writeProblem(w, s.problemOf(ctx, err))
	case err != nil:
		s.log.Warn("send rows", "branch", in.ref().String(), "err", err)
		panic(http.ErrAbortHandler) // a file that is not whole must not look so
	}
}
