package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// JobPath is the part of a path that names a job.
type JobPath struct {
	ID string `path:"id"`
}

type jobsInput struct {
	Project string `query:"project" doc:"Only jobs of this project."`
	Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
}

type jobLogInput struct {
	JobPath
	After int64 `query:"after" minimum:"0" doc:"Only lines after this number."`
}

func (s *Server) jobRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.JobsPath, id: "list-jobs", rule: forCallers, tag: "jobs", summary: "Jobs, the newest first"},
		func(ctx context.Context, who holdfast.Principal, in *jobsInput) ([]api.Job, error) {
			jobs, err := p.Jobs(ctx, who, in.Project, in.Limit)
			return mapped(jobs, viewJob), err
		})
	add(s, route{method: http.MethodGet, path: api.JobPath, id: "get-job", rule: toSee, tag: "jobs", summary: "A job and where it stands"},
		func(ctx context.Context, who holdfast.Principal, in *JobPath) (api.Job, error) {
			j, err := p.Job(ctx, who, holdfast.JobID(in.ID))
			return viewJob(j), err
		})
	addList(s, route{method: http.MethodGet, path: api.JobLogPath, id: "get-job-log", rule: toSee, tag: "jobs", summary: "A job's log",
		about: "One answer holds at most a thousand lines; ask for the next with the number of the last."},
		func(ctx context.Context, who holdfast.Principal, in *jobLogInput) ([]api.JobLine, error) {
			lines, err := p.JobLog(ctx, who, holdfast.JobID(in.ID), in.After)
			return mapped(lines, func(l holdfast.JobLine) api.JobLine { return api.JobLine{Seq: l.Seq, At: l.At, Text: l.Text} }), err
		})
	add(s, route{method: http.MethodPost, path: api.JobCancelPath, id: "cancel-job", rule: toAdminister, tag: "jobs", summary: "Ask a job to stop and to take back what it did"},
		func(ctx context.Context, who holdfast.Principal, in *JobPath) (api.Job, error) {
			j, err := p.CancelJob(ctx, who, holdfast.JobID(in.ID))
			return viewJob(j), err
		})
	s.jobEventsRoute()
}

// jobEventsRoute streams a job's states as server-sent events. The right to see the job is checked before the stream begins, so
// that a refusal is a problem like any other.
func (s *Server) jobEventsRoute() {
	r := route{method: http.MethodGet, path: api.JobEventsPath, id: "watch-job", rule: toSee, tag: "jobs", summary: "A job's states as server-sent events, until it has ended",
		about: "Each event is called `job` and carries the whole job; states in between may be left out, the final one never. A stream that ends earlier was cut: ask again."}
	op := r.operation()
	op.Responses = map[string]*huma.Response{"200": {Description: "A stream of events", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "Events whose data is a Job in JSON."}},
	}}}
	huma.Register(s.api, op, func(ctx context.Context, in *JobPath) (*huma.StreamResponse, error) {
		// The stream's context outlives this function: it is that of the request.
		states, err := s.config.Platform.WatchJob(ctx, principal(ctx), holdfast.JobID(in.ID))
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			s.streamJob(ctx, w, states)
		}}, nil
	})
}

func (s *Server) streamJob(ctx context.Context, w http.ResponseWriter, states <-chan holdfast.Job) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not keep events back
	w.WriteHeader(http.StatusOK)
	stream := http.NewResponseController(w)
	write := func(format string, args ...any) bool {
		// A reader that takes nothing for two heartbeats is gone.
		stream.SetWriteDeadline(time.Now().Add(2 * api.HeartbeatEvery))
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && stream.Flush() == nil
	}
	beat := time.NewTicker(api.HeartbeatEvery)
	defer beat.Stop()
	ok := write(": holdfast\n\n")
	for ok {
		select {
		case j, more := <-states:
			if !more {
				return
			}
			data, err := json.Marshal(viewJob(j))
			ok = err == nil && write("event: job\ndata: %s\n\n", data)
		case <-beat.C:
			ok = write(": still there\n\n")
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		}
	}
}

func viewJob(j holdfast.Job) api.Job {
	out := api.Job{ID: string(j.ID), Kind: j.Kind, Subject: j.Subject, State: string(j.State), Step: j.Step, StepIndex: j.StepIndex, StepCount: j.StepCount,
		Done: j.Done, Total: j.Total, Unit: j.Unit, Error: j.Error, Result: rawJSON(j.Result), Actor: j.Actor, CreatedAt: j.CreatedAt, StartedAt: j.StartedAt, EndedAt: j.EndedAt}
	if j.State == holdfast.JobFailed || j.State == holdfast.JobCanceled {
		out.ErrorCode = j.ErrorKind.String()
	}
	return out
}
