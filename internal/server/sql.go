package server

import (
	"context"
	"encoding/json"
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

const (
	maxSQLBytes      = 2 << 20 // of a request with a script
	maxAnswerBytes   = 8 << 20 // of values in an answer that is no stream
	maxStreamBytes   = 4 << 30 // of values in a stream
	streamLinePeriod = time.Minute
)

type sqlInput struct {
	BranchPath
	Accept string `header:"Accept"`
	Body   api.SQLRequest
}

type queryPath struct {
	BranchPath
	Query string `path:"query"`
}

func (s *Server) sqlRoutes() {
	r := route{method: http.MethodPost, path: api.SQLPath, id: "run-sql", rule: toReadRows, tag: "sql", summary: "Run SQL on a branch, as its owner role",
		about: "Reads only, unless `write` is set, which takes the right to change the branch. The answer is one SQLAnswer, or, for who accepts " + api.LinesContentType +
			", a stream of SQLEvent in lines, without a limit of memory. Statements that PostgreSQL refuses are part of the answer. It wakes the branch."}
	op := r.operation()
	op.MaxBodyBytes = maxSQLBytes
	schemas := s.api.OpenAPI().Components.Schemas
	op.Responses = map[string]*huma.Response{"200": {Description: "What the statements came to", Content: map[string]*huma.MediaType{
		"application/json":   {Schema: schemas.Schema(reflect.TypeFor[api.SQLAnswer](), true, "SQLAnswer")},
		api.LinesContentType: {Schema: schemas.Schema(reflect.TypeFor[api.SQLEvent](), true, "SQLEvent")},
	}}}
	huma.Register(s.api, op, func(ctx context.Context, in *sqlInput) (*huma.StreamResponse, error) {
		who := principal(ctx)
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			if strings.Contains(in.Accept, api.LinesContentType) {
				s.streamSQL(ctx, who, in, w)
			} else {
				s.answerSQL(ctx, who, in, w)
			}
		}}, nil
	})
	addEmpty(s, route{method: http.MethodDelete, path: api.SQLQueryPath, id: "cancel-sql", rule: toReadRows, tag: "sql", summary: "End the running statement of a query",
		about: "It fails with SQLSTATE 57014. Only who began the query may, and an admin."},
		func(ctx context.Context, who holdfast.Principal, in *queryPath) error {
			return s.config.Platform.CancelQuery(ctx, who, in.ref(), in.Query)
		})
}

func (in *sqlInput) query(maxBytes int) platform.Query {
	return platform.Query{ID: in.Body.ID, SQL: in.Body.SQL, Write: in.Body.Write, MaxRows: in.Body.MaxRows, MaxBytes: maxBytes, Timeout: time.Duration(in.Body.Timeout) * time.Second}
}

// lineWriter writes JSON values in lines, from the first one on; a client that takes nothing for a while is gone.
type lineWriter struct {
	w       http.ResponseWriter
	begun   bool
	control *http.ResponseController
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	l := &lineWriter{w: w, control: http.NewResponseController(w)}
	// The request was read; its deadline must not end the stream. A writer that has none, as in a test, is fine.
	_ = l.control.SetReadDeadline(time.Time{})
	return l
}

func (l *lineWriter) write(v any) error {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", api.LinesContentType)
		l.w.Header().Set("X-Accel-Buffering", "no")
		l.w.WriteHeader(http.StatusOK)
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(streamLinePeriod)) // as above
	if err := json.NewEncoder(l.w).Encode(v); err != nil {
		return err
	}
	return l.control.Flush()
}

// untilClosing is a context that also ends with the server, which must not wait for streams.
func (s *Server) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (s *Server) streamSQL(ctx context.Context, who holdfast.Principal, in *sqlInput, w http.ResponseWriter) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	out, begun := newLineWriter(w), time.Now()
	err := s.config.Platform.RunQuery(ctx, who, in.ref(), in.query(maxStreamBytes), func(id string) error { return out.write(api.SQLEvent{ID: id}) },
		func(e platform.QueryEvent) error { return out.write(viewSQLEvent(e)) })
	switch {
	case err != nil && !out.begun:
		writeProblem(w, s.problemOf(ctx, err))
	case err != nil:
		_ = out.write(api.SQLEvent{Problem: new(s.problemOf(ctx, err))}) // who reads has gone, or gets it
	default:
		_ = out.write(api.SQLEvent{End: &api.SQLEnd{Took: milliseconds(time.Since(begun))}}) // as above
	}
}

// answerSQL gathers what happens into one answer.
func (s *Server) answerSQL(ctx context.Context, who holdfast.Principal, in *sqlInput, w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // a writer that has none, as in a test, is fine
	_ = control.SetWriteDeadline(time.Now().Add(platform.MaxQueryTimeout + streamLinePeriod))
	begun := time.Now()
	a := api.SQLAnswer{Results: []api.SQLResult{}, Notices: []api.SQLMessage{}}
	var current api.SQLResult
	err := s.config.Platform.RunQuery(ctx, who, in.ref(), in.query(maxAnswerBytes), func(id string) error { a.ID = id; return nil }, func(e platform.QueryEvent) error {
		line := viewSQLEvent(e)
		switch {
		case line.Columns != nil:
			current.Columns, current.Rows = line.Columns, [][]*string{}
		case line.Rows != nil:
			current.Rows = append(current.Rows, line.Rows...)
		case line.Notice != nil:
			a.Notices = append(a.Notices, *line.Notice)
		case line.Done != nil:
			line.Done.Columns, line.Done.Rows = current.Columns, current.Rows
			a.Results, current = append(a.Results, *line.Done), api.SQLResult{}
		case line.Failed != nil:
			a.Error = line.Failed
		}
		return nil
	})
	if err != nil {
		writeProblem(w, s.problemOf(ctx, err))
		return
	}
	a.Took = milliseconds(time.Since(begun))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a) // who reads has gone, or gets it
}

func viewSQLEvent(e platform.QueryEvent) api.SQLEvent {
	out := api.SQLEvent{Statement: e.Statement, Rows: e.Rows}
	for _, c := range e.Columns {
		out.Columns = append(out.Columns, api.SQLColumn{Name: c.Name, Type: c.Type, OID: c.OID})
	}
	if e.Columns != nil && out.Columns == nil {
		out.Columns = []api.SQLColumn{} // a result without columns is one
	}
	out.Notice, out.Failed = viewSQLMessage(e.Notice, e.Statement), viewSQLMessage(e.Failed, e.Statement)
	if d := e.Done; d != nil {
		out.Done = &api.SQLResult{Statement: e.Statement, SQL: d.SQL, Tag: d.Tag, RowCount: d.Rows, Truncated: d.Truncated, Took: milliseconds(d.Took)}
	}
	return out
}

func viewSQLMessage(m *platform.QueryMessage, statement int) *api.SQLMessage {
	if m == nil {
		return nil
	}
	return &api.SQLMessage{Severity: m.Severity, Code: m.Code, Message: m.Message, Detail: m.Detail, Hint: m.Hint, Where: m.Where, Schema: m.Schema, Table: m.Table, Column: m.Column,
		Constraint: m.Constraint, Position: m.Position, Statement: statement}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
