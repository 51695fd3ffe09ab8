package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type exportTableInput struct {
	BranchPath
	Body api.TableExport
}

type importTableInput struct {
	BranchPath
	Table     string   `query:"table" doc:"As in SQL: orders, sales.orders."`
	Map       []string `query:"map,explode" doc:"FILECOLUMN=TABLECOLUMN, for columns that are called otherwise in the file; FILECOLUMN= leaves the column out."`
	Upsert    []string `query:"upsert,explode" doc:"Columns of a unique key: rows that are there are changed."`
	Delimiter string   `query:"delimiter" doc:"One ASCII character, or \\t; a comma when left out."`
	Encoding  string   `query:"encoding" doc:"An IANA name; UTF-8 when left out."`
	NoHeader  bool     `query:"no_header" doc:"The first line is a row; the columns are the table's."`
	DryRun    bool     `query:"dry_run" doc:"Try everything and keep nothing."`
	Rejects   bool     `query:"rejects" doc:"Keep the good rows and tell the bad ones; otherwise one bad row ends the import and nothing is kept."`
}

type adoptBackupInput struct {
	BranchPath
	Name string `query:"name" doc:"What to call it; made from the branch and the time when left out."`
}

func (s *Server) tableCSVRoutes() {
	export := route{method: http.MethodPost, path: api.ExportTablePath, id: "export-table", rule: toReadRows, tag: "backups", summary: "A table as CSV",
		about: "Streamed, as COPY writes it: NULL is nothing, an empty text is in quotes. A stream that is cut is not whole."}.operation()
	export.Responses = map[string]*huma.Response{"200": {Description: "The rows", Content: map[string]*huma.MediaType{api.CSVContentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	huma.Register(s.api, export, func(ctx context.Context, in *exportTableInput) (*huma.StreamResponse, error) {
		who := principal(ctx)
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			s.exportTable(ctx, who, in, w)
		}}, nil
	})
	imports := route{method: http.MethodPost, path: api.ImportTablePath, id: "import-table", rule: toDevelop, tag: "backups", summary: "Bring a CSV file into a table",
		about: "The file is the body, of any size. One transaction, after a checkpoint where the branch has a history. The answer is a stream of ImportEvent in lines."}.operation()
	imports.RequestBody = fileBody(api.CSVContentType)
	imports.Responses = map[string]*huma.Response{"200": {Description: "Events in lines", Content: map[string]*huma.MediaType{
		api.LinesContentType: {Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.ImportEvent](), true, "ImportEvent")}}}}
	huma.Register(s.api, imports, func(ctx context.Context, in *importTableInput) (*huma.StreamResponse, error) {
		who := principal(ctx)
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			s.importTable(ctx, who, in, r, w)
		}}, nil
	})
	adopt := route{method: http.MethodPost, path: api.AdoptBackupPath, id: "adopt-backup", rule: toDevelop, tag: "backups", summary: "Keep a dump that was made elsewhere as a backup",
		about: "The file is the body, of any size. It is recognized by its first bytes; the job reads it to its end before anything is kept. The answer has the backup's `id` and the job's. A file that is refused is not listed."}.operation()
	adopt.RequestBody = fileBody("application/octet-stream")
	adopt.Responses = map[string]*huma.Response{"202": {Description: "The backup", Content: map[string]*huma.MediaType{
		"application/json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Backup](), true, "Backup")}}}}
	huma.Register(s.api, adopt, func(ctx context.Context, in *adoptBackupInput) (*huma.StreamResponse, error) {
		who := principal(ctx)
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			s.adoptBackup(ctx, who, in, r, w)
		}}, nil
	})
}

func fileBody(media string) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
}

// patientWriter is an answer that may take hours, as long as it moves.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	media   string // its content type
	begun   bool
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", p.media)
		p.w.WriteHeader(http.StatusOK)
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(streamPatience)) // a writer that has none, as in a test, is fine
	return p.w.Write(b)
}

func (s *Server) exportTable(ctx context.Context, who holdfast.Principal, in *exportTableInput, w http.ResponseWriter) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	out := &patientWriter{w: w, control: http.NewResponseController(w), media: api.CSVContentType}
	_ = out.control.SetReadDeadline(time.Time{}) // the request was read
	ask := in.Body
	_, err := s.config.Platform.ExportTable(ctx, who, in.ref(), platform.TableExport{Table: ask.Table, Columns: ask.Columns, Where: ask.Where,
		CSVStyle: platform.CSVStyle{Delimiter: ask.Delimiter, Encoding: ask.Encoding, NoHeader: ask.NoHeader}}, out)
	switch {
	case err == nil && !out.begun:
		_, _ = out.Write(nil) // a table without rows, without a header
	case err != nil && !out.begun:
		_ = out.control.SetWriteDeadline(time.Now().Add(streamPatience)) // as above
		writeProblem(w, s.problemOf(ctx, err))
	case err != nil:
		s.log.Warn("send a table", "branch", in.ref().String(), "err", err)
		panic(http.ErrAbortHandler) // a file that is not whole must not look so
	}
}

// patientBody is a request's file, which may take hours to come, as long as it moves.
type patientBody struct {
	r       io.Reader
	control *http.ResponseController
}

func (p patientBody) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(streamPatience)) // a reader that has none, as in a test, is fine
	n, err := p.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &holdfast.Error{Kind: holdfast.Unavailable, Message: "the file did not come whole; nothing of it was kept", Hint: "send it again", Cause: err}
	}
	return n, err
}

func (s *Server) importTable(ctx context.Context, who holdfast.Principal, in *importTableInput, r *http.Request, w http.ResponseWriter) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	ask := platform.TableImport{Table: in.Table, Map: map[string]string{}, Upsert: in.Upsert, DryRun: in.DryRun, CSVStyle: platform.CSVStyle{Delimiter: in.Delimiter, Encoding: in.Encoding, NoHeader: in.NoHeader}}
	for _, pair := range in.Map {
		from, to, found := strings.Cut(pair, "=")
		if !found {
			writeProblem(w, s.problemOf(ctx, &holdfast.Error{Kind: holdfast.Invalid, Message: "map=" + pair + " is not FILECOLUMN=TABLECOLUMN"}))
			return
		}
		ask.Map[from] = to
	}
	out := &lineWriter{w: w, control: http.NewResponseController(w)}
	var columns []string
	var reject func(platform.RejectedRow) error
	if in.Rejects {
		ask.Begun = func(names []string) { columns = names }
		reject = func(row platform.RejectedRow) error {
			if columns != nil {
				if err := out.write(api.ImportEvent{Columns: columns}); err != nil {
					return err
				}
				columns = nil
			}
			return out.write(api.ImportEvent{Reject: &api.RejectedRow{Line: row.Line, Reason: row.Reason, Values: row.Values, Text: row.Text}})
		}
	}
	done, err := s.config.Platform.ImportTable(ctx, who, in.ref(), ask, patientBody{r.Body, out.control}, reject)
	_ = out.control.SetWriteDeadline(time.Now().Add(streamPatience)) // as above
	switch {
	case err != nil && !out.begun:
		writeProblem(w, s.problemOf(ctx, err))
	case err != nil:
		_ = out.write(api.ImportEvent{Problem: new(s.problemOf(ctx, err))}) // who reads has gone, or gets it
	default:
		_ = out.write(api.ImportEvent{End: &api.ImportEnd{Rows: done.Rows, Rejected: done.Rejected, DryRun: in.DryRun}}) // as above
	}
}

func (s *Server) adoptBackup(ctx context.Context, who holdfast.Principal, in *adoptBackupInput, r *http.Request, w http.ResponseWriter) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	control := http.NewResponseController(w)
	ask := platform.AdoptBackup{Branch: in.ref(), Name: in.Name, Size: max(0, r.ContentLength), File: patientBody{r.Body, control}}
	b, _, err := s.config.Platform.AdoptBackup(ctx, who, ask)
	_ = control.SetWriteDeadline(time.Now().Add(streamPatience)) // as above
	if err != nil {
		writeProblem(w, s.problemOf(ctx, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(viewBackup(b)) // who reads has gone, or gets it
}
